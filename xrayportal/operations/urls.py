"""Addresses without sign-in; the same names without a slash that probes everywhere use."""

from __future__ import annotations

from django.urls import path

from xrayportal.operations import views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("statusz", views.statusz, name="statusz"),
]
