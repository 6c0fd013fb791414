"""Addresses of a study's review and report, and of disagreements."""

from django.urls import path

from xrayportal.web.reviews import views

_STUDY = "c/<slug:clinic>/studies/<uuid:study>/"

urlpatterns = [
    path(f"{_STUDY}review/", views.review, name="review"),
    path(f"{_STUDY}review/save/", views.review_save, name="review-save"),
    path(f"{_STUDY}review/sign/", views.review_sign, name="review-sign"),
    path(f"{_STUDY}review/withdraw/", views.review_withdraw, name="review-withdraw"),
    path(f"{_STUDY}adjudicator/", views.adjudicator, name="adjudicator"),
    path(f"{_STUDY}report.pdf", views.report, name="report"),
    path("c/<slug:clinic>/disagreements/", views.disagreements, name="disagreements"),
]
