"""A database of version 0.1.0 is refused in one sentence, and left as it is."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from xrayportal.operations.apps import OF_0_1_0

pytestmark = pytest.mark.django_db


def test_a_database_of_0_1_0_is_refused() -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_applied(*OF_0_1_0)
    before = recorder.applied_migrations().keys()
    with pytest.raises(CommandError, match=r"version 0\.1\.0 .* with another data folder"):
        call_command("migrate", verbosity=0)
    assert recorder.applied_migrations().keys() == before


def test_a_database_of_this_version_is_migrated() -> None:
    call_command("migrate", verbosity=0)
