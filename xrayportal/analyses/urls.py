"""Addresses of analyses: two fragments of the study page and the buttons."""

from django.urls import path

from xrayportal.analyses import views

urlpatterns = [
    path("c/<slug:clinic>/studies/<uuid:study>/result/", views.study_result, name="study-result"),
    path("c/<slug:clinic>/studies/<uuid:study>/history/", views.study_history, name="study-history"),
    path("c/<slug:clinic>/studies/<uuid:study>/analyses/", views.request_analysis, name="analysis-request"),
    path("c/<slug:clinic>/analyses/<uuid:analysis>/cancel/", views.cancel_analysis, name="analysis-cancel"),
    path(
        "c/<slug:clinic>/submissions/<uuid:submission>/retry/",
        views.retry_submission,
        name="submission-retry",
    ),
]
