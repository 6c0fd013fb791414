"""Addresses of reviews, history and the scorecard."""

from __future__ import annotations

from django.urls import path

from xrayportal.reviews import history_pages, pages
from xrayportal.reviews.scorecard import pages as scorecard_pages

STUDY = "c/<slug:clinic>/studies/<uuid:study>/"

urlpatterns = [
    path(f"{STUDY}review/", pages.review, name="review"),
    path(f"{STUDY}review/save/", pages.review_save, name="review-save"),
    path(f"{STUDY}review/sign/", pages.review_sign, name="review-sign"),
    path(f"{STUDY}adjudicator/", pages.adjudicator, name="adjudicator"),
    path(f"{STUDY}report.pdf", pages.report, name="report"),
    path("c/<slug:clinic>/disagreements/", pages.disagreements, name="disagreements"),
    path("c/<slug:clinic>/history/", history_pages.history, name="history"),
    path("c/<slug:clinic>/history/export.csv", history_pages.history_export, name="history-export"),
    path("c/<slug:clinic>/scorecard/", scorecard_pages.scorecard, name="scorecard"),
]
