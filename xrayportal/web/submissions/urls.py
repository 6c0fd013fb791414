"""Addresses of uploading and of submissions."""

from django.urls import path

from xrayportal.web.submissions import views

_SUBMISSION = "c/<slug:clinic>/submissions/<uuid:submission>/"

urlpatterns = [
    path("c/<slug:clinic>/upload/", views.upload, name="upload"),
    path("c/<slug:clinic>/submissions/", views.submissions, name="submissions"),
    path(_SUBMISSION, views.submission_page, name="submission"),
    path(f"{_SUBMISSION}progress/", views.submission_progress, name="submission-progress"),
    path(f"{_SUBMISSION}uploads/", views.submission_uploads, name="submission-uploads"),
    path(f"{_SUBMISSION}finish/", views.submission_finish, name="submission-finish"),
    path(f"{_SUBMISSION}cancel/", views.submission_cancel, name="submission-cancel"),
    path(f"{_SUBMISSION}retry/", views.retry_submission, name="submission-retry"),
    path(f"{_SUBMISSION}results.csv", views.submission_results, name="submission-results"),
    path(f"{_SUBMISSION}results.zip", views.submission_pictures, name="submission-pictures"),
]
