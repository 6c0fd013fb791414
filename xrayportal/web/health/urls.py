"""Addresses for probes: no sign-in, and the names without a slash that probes everywhere use."""

from django.urls import path

from xrayportal.web.health import views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("statusz", views.statusz, name="statusz"),
    path("metrics", views.metrics, name="metrics"),
]
