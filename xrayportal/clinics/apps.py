"""App configuration."""

from importlib import import_module

from django.apps import AppConfig


class ClinicsConfig(AppConfig):
    name = "xrayportal.clinics"

    def ready(self) -> None:
        """Connect the signals that write sign-ins to the audit chain."""
        import_module("xrayportal.clinics.sign_in")
