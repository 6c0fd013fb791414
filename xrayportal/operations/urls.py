"""Addresses without sign-in, the same names without a slash that probes everywhere use; and operations."""

from __future__ import annotations

from django.urls import path

from xrayportal.operations import pages, views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("statusz", views.statusz, name="statusz"),
    path("operations/", pages.operations, name="operations"),
    path("operations/verify/", pages.operations_verify, name="operations-verify"),
    path("operations/retry/<uuid:analysis>/", pages.operations_retry, name="operations-retry"),
    path("c/<slug:clinic>/operations/", pages.clinic_operations, name="clinic-operations"),
    path(
        "c/<slug:clinic>/operations/verify/", pages.clinic_operations_verify, name="clinic-operations-verify"
    ),
    path(
        "c/<slug:clinic>/operations/retry/<uuid:analysis>/",
        pages.clinic_operations_retry,
        name="clinic-operations-retry",
    ),
]
