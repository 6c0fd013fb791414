"""Addresses of the worklist, of saved views, and of the results of a submission to take away."""

from django.urls import path

from xrayportal.worklist import exports, pages, views

_SUBMISSION = "c/<slug:clinic>/submissions/<uuid:submission>/"

urlpatterns = [
    path("c/<slug:clinic>/", pages.worklist, name="worklist"),
    path("c/<slug:clinic>/worklist/several/", views.several, name="worklist-several"),
    path("c/<slug:clinic>/worklist/views/", views.save_view, name="saved-views"),
    path("c/<slug:clinic>/worklist/views/<int:view>/remove/", views.remove_view, name="saved-view-remove"),
    path(f"{_SUBMISSION}results.csv", exports.submission_results, name="submission-results"),
    path(f"{_SUBMISSION}results.zip", exports.submission_pictures, name="submission-pictures"),
]
