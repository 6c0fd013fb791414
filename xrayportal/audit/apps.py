"""App configuration."""

from importlib import import_module

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "xrayportal.audit"

    def ready(self) -> None:
        """Give the portal's role its rights after every migration."""
        grants = import_module("xrayportal.audit.grants")
        post_migrate.connect(grants.grant_to_portal, sender=self)
