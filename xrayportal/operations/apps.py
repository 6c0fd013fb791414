"""App configuration."""

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "xrayportal.operations"
