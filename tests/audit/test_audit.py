"""The audit chain: unbroken with several writers at once, and every kind of tampering is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from tests.factories import make_clinic, make_study, make_user
from tests.threads import at_once
from xrayportal.audit.models import Action, AuditEvent, AuditHead
from xrayportal.audit.services import START, canonical, record, verify
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic

pytestmark = pytest.mark.django_db


def write(clinic: Clinic | None, count: int = 1, **fields: Any) -> list[AuditEvent]:
    return [record(clinic=clinic, action=Action.EXPORTED, detail={"n": n}, **fields) for n in range(count)]


def tamper(sql: str, *values: Any) -> None:
    """Run a statement as the owner of the database, past the triggers."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER audit_append_only")
        cursor.execute(sql, values)
        cursor.execute("ALTER TABLE audit_auditevent ENABLE TRIGGER audit_append_only")


def test_a_chain_for_each_clinic_and_one_for_the_platform() -> None:
    one, other = make_clinic(), make_clinic()
    for clinic in (one, other, None):
        first, second = write(clinic, 2)
        assert (first.number, first.previous) == (1, START)
        assert (second.number, second.previous) == (2, first.hash)
        assert verify(clinic=clinic).length == 2
        assert verify(clinic=clinic).is_whole


def test_what_is_recorded() -> None:
    clinic = make_clinic()
    actor, study = make_user(clinic), make_study(clinic)
    event = record(
        clinic=clinic,
        action=Action.STUDY_VIEWED,
        actor=Actor(actor, "::ffff:192.0.2.7"),
        target=study,
        study=study,
        detail={"revealed": True},
    )
    event.refresh_from_db()
    assert event.actor_id_text == str(actor.pk)
    assert event.actor_label == actor.email
    assert (event.target_kind, event.target_id, event.study_id) == ("study", str(study.pk), study.pk)
    assert event.address == "192.0.2.7"


def test_the_person_goes_and_the_event_stays() -> None:
    clinic = make_clinic()
    actor = make_user(clinic, email="leaver@example.org")
    write(clinic, actor=Actor(actor))
    actor.delete()
    assert AuditEvent.objects.get().actor_label == "leaver@example.org"
    assert verify(clinic=clinic).is_whole


@pytest.mark.parametrize(
    "detail",
    [
        {},
        {"float": 0.1, "whole": 3.0, "large": 1e22, "small": 1e-7, "negative": -0.0},
        {"nested": {"b": [1, None, True, {"z": 1, "a": 2}], "a": "ü “quoted” \\ \n"}},
    ],
)
def test_the_same_json_before_and_after_the_database(detail: dict[str, Any]) -> None:
    event = record(clinic=None, action=Action.EXPORTED, detail=detail, actor=Actor(address="2001:DB8::0001"))
    assert canonical(AuditEvent.objects.get(pk=event.pk)) == canonical(event)
    assert verify(clinic=None).is_whole


def test_canonical_json_is_sorted_tight_and_utc() -> None:
    event = record(clinic=None, action=Action.EXPORTED, detail={"b": 1, "a": 2})
    event.at = datetime(2026, 11, 22, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=2)))
    assert '"at":"2026-11-21T23:02:03.000004+00:00"' in canonical(event)
    assert '"detail":{"a":2,"b":1}' in canonical(event)
    assert event.at.astimezone(UTC).microsecond == 4


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        record(clinic=None, action=Action.EXPORTED, detail={"n": float("nan")})


def test_unknown_actions_are_refused() -> None:
    with pytest.raises(ValueError, match="not a valid"):
        record(clinic=None, action="made-up")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_auditevent SET action = 'exported'",
        "DELETE FROM audit_auditevent",
        "TRUNCATE audit_auditevent",
    ],
)
def test_the_database_refuses_changes(sql: str) -> None:
    write(None)
    connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError, match="only ever added"), transaction.atomic():
        connection.cursor().execute(sql)
    assert verify(clinic=None).is_whole


@pytest.mark.parametrize(
    ("sql", "broken_at", "reason"),
    [
        ("UPDATE audit_auditevent SET detail = '{\"n\": 9}' WHERE number = 2", 2, "content"),
        ("UPDATE audit_auditevent SET at = at + interval '1 microsecond' WHERE number = 2", 2, "content"),
        ("UPDATE audit_auditevent SET hash = repeat('a', 64) WHERE number = 2", 2, "content"),
        ("UPDATE audit_auditevent SET previous = repeat('a', 64) WHERE number = 2", 2, "follow"),
        ("DELETE FROM audit_auditevent WHERE number = 2", 2, "missing"),
        ("DELETE FROM audit_auditevent WHERE number = 1", 1, "missing"),
        ("DELETE FROM audit_auditevent WHERE number = 3", 3, "end of the chain"),
        ("DELETE FROM audit_auditevent", 1, "end of the chain"),
        ("UPDATE audit_audithead SET number = 2", 2, "head"),
        ("UPDATE audit_audithead SET hash = repeat('a', 64)", 3, "head"),
        ("DELETE FROM audit_audithead", 3, "past"),
    ],
)
def test_tampering_is_found_at_its_place(sql: str, broken_at: int, reason: str) -> None:
    clinic = make_clinic()
    write(clinic, 3)
    tamper(sql)
    state = verify(clinic=clinic)
    assert state.broken_at == broken_at
    assert reason in state.reason
    out = StringIO()
    with pytest.raises(CommandError, match="1 of"):
        call_command("verify_audit", stdout=out)
    assert f"{clinic.slug}: broken at event {broken_at}" in out.getvalue()


def test_command_says_that_all_is_whole() -> None:
    clinic = make_clinic()
    head = write(clinic, 3)[-1].hash
    out = StringIO()
    call_command("verify_audit", "--clinic", clinic.slug, stdout=out)
    assert out.getvalue().strip() == f"{clinic.slug}: 3 events, intact, head {head}"
    with pytest.raises(CommandError, match="no clinic"):
        call_command("verify_audit", "--clinic", "nowhere")


def test_a_change_that_fails_leaves_no_event() -> None:
    def change_and_fail() -> None:
        with transaction.atomic():
            write(None)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_and_fail()
    assert not AuditEvent.objects.exists()
    write(None)
    assert verify(clinic=None).is_whole


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("of_platform", [False, True])
def test_many_writers_at_once_make_one_chain(of_platform: bool) -> None:
    clinic = None if of_platform else make_clinic()  # no head yet: the first writers race for it, too
    threads, each = 8, 12

    def write_some(thread: int) -> None:
        for n in range(each):
            with transaction.atomic():
                record(clinic=clinic, action=Action.EXPORTED, detail={"thread": thread, "n": n})

    at_once(write_some, range(threads))
    state = verify(clinic=clinic)
    assert (state.is_whole, state.length) == (True, threads * each)
    assert AuditHead.objects.get(clinic=clinic).number == threads * each
