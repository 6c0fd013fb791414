"""Addresses of the study page, its fragments, its files and its actions."""

from django.urls import path

from xrayportal.web.study import views

_STUDY = "c/<slug:clinic>/studies/<uuid:study>/"

urlpatterns = [
    path(_STUDY, views.study_page, name="study"),
    path(f"{_STUDY}result/", views.study_result, name="study-result"),
    path(f"{_STUDY}history/", views.study_history, name="study-history"),
    path(f"{_STUDY}analyses/", views.request_analysis, name="analysis-request"),
    path(f"{_STUDY}correct/", views.study_correct, name="study-correct"),
    path(f"{_STUDY}delete/", views.study_delete, name="study-delete"),
    path("c/<slug:clinic>/analyses/<uuid:analysis>/cancel/", views.cancel_analysis, name="analysis-cancel"),
    path("c/<slug:clinic>/findings/<uuid:finding>/<slug:kind>", views.finding_file, name="finding-file"),
    path("c/<slug:clinic>/images/<uuid:image>/original", views.image_file, name="image-file"),
]
