"""App configuration."""

from typing import Any

from django.apps import AppConfig
from django.core.management.base import CommandError
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.signals import pre_migrate

#: A migration that only version 0.1.0 had: its tables have other names and columns than this version's.
OF_0_1_0 = ("studies", "0002_bulk")


class OperationsConfig(AppConfig):
    name = "xrayportal.operations"

    def ready(self) -> None:
        """Look before the first migration of every ``migrate``."""
        pre_migrate.connect(refuse_database_of_0_1_0, dispatch_uid="operations.refuse_database_of_0_1_0")


def refuse_database_of_0_1_0(using: str, **kwargs: Any) -> None:
    """Raises CommandError for a database of version 0.1.0, which was never released, before it is touched."""
    if OF_0_1_0 in MigrationRecorder(connections[using]).applied_migrations():
        raise CommandError(
            "This database was made by version 0.1.0 of X-Ray Portal, which this version cannot open: "
            "name an empty one in DATABASE_URL, or start the demo with another data folder (VAR_DIR)."
        )
