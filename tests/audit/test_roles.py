"""The portal's own role in a database that another role owns: what it can do, and what it cannot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg2
import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from psycopg2 import sql

from tests.factories import make_clinic
from tests.services import PORTAL_URL
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import record, verify
from xrayportal.clinics.models import Clinic

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(PORTAL_URL not in os.environ, reason="another server, with roles of its own"),
]
Portal = psycopg2.extensions.connection


@pytest.fixture
def portal() -> Iterator[Portal]:
    """A session of the portal's role in the tests' database."""
    url = urlsplit(os.environ[PORTAL_URL])
    session = psycopg2.connect(url._replace(path=f"/{connection.settings_dict['NAME']}").geturl())
    yield session
    session.close()


@pytest.fixture
def clinic() -> Clinic:
    """With two events in its chain."""
    clinic = make_clinic()
    for _ in range(2):
        record(clinic=clinic, action=Action.CLINIC_CHANGED, target=clinic)
    return clinic


def refused(portal: Portal, statement: str) -> str:
    """The database's reason for refusing the statement."""
    with pytest.raises(psycopg2.Error) as caught, portal, portal.cursor() as cursor:
        cursor.execute(statement)
    return str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditevent SET actor_label = 'nobody'",
        "UPDATE audit_auditevent SET id = id + 1000",
        "DELETE FROM audit_auditevent",
        "TRUNCATE audit_auditevent",
        "TRUNCATE audit_auditevent CASCADE",
        "DELETE FROM audit_audithead",
        "TRUNCATE audit_audithead",
        "ALTER TABLE audit_auditevent DISABLE TRIGGER ALL",
        "ALTER TABLE audit_auditevent DISABLE TRIGGER audit_append_only",
        "DROP TRIGGER audit_append_only ON audit_auditevent",
        "DROP TABLE audit_auditevent CASCADE",
        "DROP FUNCTION audit_refuse_change() CASCADE",
        "CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NULL; END'",
        "ALTER TABLE reviews_review DISABLE TRIGGER reviews_review_keep",
        "SET session_replication_role = replica",
        "ALTER ROLE portal SUPERUSER",
        "SET ROLE portal_owner",
        "CREATE TABLE mine (id int)",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DELETE FROM django_migrations",
        "INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '9999', now())",
        "TRUNCATE studies_study CASCADE",
        "COPY audit_auditevent TO PROGRAM 'cat'",
        "GRANT DELETE ON audit_auditevent TO portal",
    ],
)
def test_what_the_portals_role_cannot_do(portal: Portal, clinic: Clinic, statement: str) -> None:
    # Where nothing can be granted PostgreSQL warns and does nothing, so the outcome counts as well.
    if statement.startswith("GRANT"):
        with portal, portal.cursor() as cursor:
            cursor.execute(statement)
        statement = "DELETE FROM audit_auditevent"
    reason = refused(portal, statement)
    assert "permission denied" in reason or "must be owner" in reason, reason
    assert AuditEvent.objects.filter(clinic=clinic).count() == 2
    assert verify(clinic=clinic).is_whole


def test_it_reads_and_writes_every_other_table(portal: Portal) -> None:
    tables = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}
    limited = {"audit_auditevent": {"SELECT", "INSERT"}, "audit_audithead": {"SELECT", "INSERT", "UPDATE"}}
    kinds = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES")
    with portal, portal.cursor() as cursor:
        for table in sorted(tables):
            columns = sql.SQL(", ").join(
                sql.SQL("has_table_privilege({}, {})").format(sql.Literal(table), sql.Literal(kind))
                for kind in kinds
            )
            cursor.execute(sql.SQL("SELECT {}").format(columns))
            held = {kind for kind, holds in zip(kinds, cursor.fetchone() or (), strict=True) if holds}
            assert held == limited.get(table, {"SELECT", "INSERT", "UPDATE", "DELETE"}), table


def test_a_migration_gives_a_new_table_to_the_portal_too(portal: Portal) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE newcomer (id bigserial PRIMARY KEY)")
    try:
        assert "permission denied" in refused(portal, "INSERT INTO newcomer DEFAULT VALUES")
        call_command("migrate", verbosity=0)
        with portal, portal.cursor() as cursor:
            cursor.execute("INSERT INTO newcomer DEFAULT VALUES RETURNING id")
            assert cursor.fetchone() == (1,)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE newcomer")
