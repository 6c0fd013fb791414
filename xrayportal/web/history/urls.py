"""Addresses of the admin's history of predictions."""

from django.urls import path

from xrayportal.web.history import views

urlpatterns = [
    path("c/<slug:clinic>/history/", views.history, name="history"),
    path("c/<slug:clinic>/history/export.csv", views.history_export, name="history-export"),
]
