"""Addresses of submissions, studies and their files."""

from django.urls import path

from xrayportal.studies import pages, views
from xrayportal.studies.delete_view import study_delete

_SUBMISSION = "c/<slug:clinic>/submissions/<uuid:submission>/"

urlpatterns = [
    path("c/<slug:clinic>/upload/", views.upload, name="upload"),
    path("c/<slug:clinic>/submissions/", views.submissions, name="submissions"),
    path(_SUBMISSION, pages.submission_page, name="submission"),
    path(f"{_SUBMISSION}progress/", pages.submission_progress, name="submission-progress"),
    path(f"{_SUBMISSION}uploads/", views.submission_uploads, name="submission-uploads"),
    path(f"{_SUBMISSION}finish/", views.submission_finish, name="submission-finish"),
    path(f"{_SUBMISSION}cancel/", views.submission_cancel, name="submission-cancel"),
    path("c/<slug:clinic>/studies/<uuid:study>/", pages.study_page, name="study"),
    path("c/<slug:clinic>/studies/<uuid:study>/delete/", study_delete, name="study-delete"),
    path("c/<slug:clinic>/findings/<uuid:finding>/<slug:kind>", views.finding_file, name="finding-file"),
    path("c/<slug:clinic>/images/<uuid:image>/original", views.image_file, name="image-file"),
]
