"""App configuration."""

from django.apps import AppConfig


class AnalysesConfig(AppConfig):
    name = "xrayportal.analyses"
