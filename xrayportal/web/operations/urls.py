"""Addresses of the operations page: the platform's and a clinic's."""

from django.urls import path

from xrayportal.web.operations import views

_CLINIC = "c/<slug:clinic>/operations/"

urlpatterns = [
    path("operations/", views.operations, name="operations"),
    path("operations/verify/", views.operations_verify, name="operations-verify"),
    path("operations/retry/<uuid:analysis>/", views.operations_retry, name="operations-retry"),
    path(_CLINIC, views.clinic_operations, name="clinic-operations"),
    path(f"{_CLINIC}verify/", views.clinic_operations_verify, name="clinic-operations-verify"),
    path(f"{_CLINIC}retry/<uuid:analysis>/", views.clinic_operations_retry, name="clinic-operations-retry"),
]
