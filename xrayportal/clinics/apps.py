"""App configuration."""

from django.apps import AppConfig


class ClinicsConfig(AppConfig):
    name = "xrayportal.clinics"
