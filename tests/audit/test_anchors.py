"""Anchors: what an owner of the database could do unnoticed by the chain itself shows in them."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from tests.factories import make_clinic
from tests.house import House, browser
from xrayportal.audit.anchors import Anchor, current_anchors, read_anchors, stored_anchors, write_anchors
from xrayportal.audit.models import Action
from xrayportal.audit.services import record, verify
from xrayportal.clinics.models import Clinic
from xrayportal.operations.reconciler import Reconciler

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    """A storage of the test's own."""
    durable = "xrayportal.studies.storage.DurableFileStorage"
    storage = {"BACKEND": durable, "OPTIONS": {"location": str(tmp_path)}}
    settings.STORAGES = {**settings.STORAGES, "anchors": storage}
    return tmp_path


@pytest.fixture
def clinic() -> Clinic:
    """With five events, of which the first three are anchored."""
    clinic = make_clinic()
    write(clinic, 3)
    write_anchors(current_anchors())
    write(clinic, 2)
    return clinic


def write(clinic: Clinic, count: int) -> None:
    for number in range(count):
        record(clinic=clinic, action=Action.EXPORTED, detail={"n": number})


def tamper(*statements: str) -> None:
    """As the database's owner can."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER USER")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("ALTER TABLE audit_auditevent ENABLE TRIGGER USER")


#: The end goes, and the head with it: the chain is whole by itself.
CUT = (
    "DELETE FROM audit_auditevent WHERE number > {number}",
    "UPDATE audit_audithead SET number = {number},"
    " hash = coalesce((SELECT hash FROM audit_auditevent WHERE number = {number}), repeat('0', 64))",
)


def test_a_chain_that_goes_on_is_whole(clinic: Clinic) -> None:
    state = verify(clinic=clinic, anchors=stored_anchors())
    assert (state.is_whole, state.length, state.anchors) == (True, 5, 1)
    out = StringIO()
    call_command("verify_audit", stdout=out)
    assert "5 events, intact" in out.getvalue()
    assert "1 anchors confirmed" in out.getvalue()


@pytest.mark.parametrize("number", [2, 0])
def test_a_cut_end_with_its_head_is_noticed(clinic: Clinic, number: int) -> None:
    tamper(*(statement.format(number=number) for statement in CUT))
    assert verify(clinic=clinic).is_whole, "nothing in the database shows it"
    state = verify(clinic=clinic, anchors=stored_anchors())
    assert (state.broken_at, "cut off" in state.reason) == (number + 1, True)
    with pytest.raises(CommandError, match="1 of"):
        call_command("verify_audit", stdout=StringIO())


def test_what_was_cut_after_the_anchor_is_not_known(clinic: Clinic) -> None:
    tamper(*(statement.format(number=3) for statement in CUT))
    assert verify(clinic=clinic, anchors=stored_anchors()).is_whole
    write_anchors(current_anchors())
    assert verify(clinic=clinic, anchors=stored_anchors()).anchors == 1, "the same end twice is one"


def test_all_events_and_the_head_gone_is_noticed(clinic: Clinic) -> None:
    tamper("DELETE FROM audit_auditevent", "DELETE FROM audit_audithead")
    assert verify(clinic=clinic).is_whole
    assert verify(clinic=clinic, anchors=stored_anchors()).broken_at == 1


def test_a_chain_that_was_rewritten_is_noticed(clinic: Clinic) -> None:
    tamper("DELETE FROM audit_auditevent", "DELETE FROM audit_audithead")
    write(clinic, 6)
    assert verify(clinic=clinic).is_whole
    state = verify(clinic=clinic, anchors=stored_anchors())
    assert (state.broken_at, "rewritten" in state.reason) == (3, True)


def test_a_clinic_that_went_with_its_chain_is_noticed(clinic: Clinic) -> None:
    pk = clinic.pk
    tamper("DELETE FROM audit_auditevent", "DELETE FROM audit_audithead")
    clinic.delete()
    out = StringIO()
    with pytest.raises(CommandError, match="broken"):
        call_command("verify_audit", stdout=out)
    assert f"{pk}: anchors name this clinic" in out.getvalue()


def test_ids_that_do_not_follow_the_chain_are_noticed(clinic: Clinic) -> None:
    tamper("UPDATE audit_auditevent SET id = -id WHERE number = 4")
    state = verify(clinic=clinic)
    assert (state.broken_at, "id" in state.reason) == (4, True)


def test_lines_from_a_log_or_a_mail_are_anchors(clinic: Clinic, tmp_path: Path, folder: Path) -> None:
    (anchor,) = stored_anchors()
    log = tmp_path.parent / "portal.log"
    log.write_text(
        f"2026-11-26 19:00:00,1 INFO xrayportal.audit.anchors Audit anchor {anchor}\nanother line\n"
    )
    for file in folder.rglob("*.txt"):
        file.unlink()
    assert stored_anchors() == []
    tamper(*(statement.format(number=2) for statement in CUT))
    call_command("verify_audit", stdout=StringIO())
    with pytest.raises(CommandError, match="1 of"):
        call_command("verify_audit", "--anchors", str(log), stdout=StringIO())
    log.write_text("nothing here\n")
    with pytest.raises(CommandError, match="no anchor in this file"):
        call_command("verify_audit", "--anchors", str(log))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("verify_audit", "--anchors", str(tmp_path / "missing"))


def test_an_anchor_reads_what_it_writes(clinic: Clinic) -> None:
    record(clinic=None, action=Action.SIGNED_IN)
    anchors = [anchor for anchor in current_anchors() if anchor.clinic in (None, clinic.pk)]
    assert {anchor.clinic for anchor in anchors} == {None, clinic.pk}
    assert [(one.clinic, one.number, one.hash) for one in read_anchors(map(str, anchors))] == [
        (one.clinic, one.number, one.hash) for one in anchors
    ]
    as_json = f'{{"level": "INFO", "message": "Audit anchor {anchors[0]}"}}'
    assert next(read_anchors([as_json])).hash == anchors[0].hash
    for nonsense in ("", "a b c d", f"2026-11-26 nobody 1 {'a' * 64}", f"2026-99 platform 1 {'a' * 64}"):
        with pytest.raises(ValueError, match=r"no anchor|isoformat"):
            Anchor.read(nonsense)


def test_the_reconciler_writes_them_when_an_end_has_moved(clinic: Clinic, settings: Any) -> None:
    settings.AUDIT_ANCHOR_SECONDS = 1
    settings.AUDIT_ANCHOR_MAIL = ["auditor@example.org"]
    reconciler = Reconciler()

    def look() -> int:
        reconciler._next_anchor = 0
        reconciler._anchor_audit()
        return len(stored_anchors())

    before = len(stored_anchors())
    assert [look(), look()] == [before + 1] * 2
    record(clinic=clinic, action=Action.EXPORTED)
    assert look() == before + 2
    assert len(mail.outbox) == 2
    assert mail.outbox[-1].to == ["auditor@example.org"]
    assert [one.number for one in read_anchors(mail.outbox[-1].body.splitlines())] == [6]
    assert verify(clinic=clinic, anchors=stored_anchors()).anchors == 3


def test_the_command_prints_and_stores_them(clinic: Clinic, caplog: pytest.LogCaptureFixture) -> None:
    out = StringIO()
    caplog.set_level("INFO")
    call_command("anchor_audit", stdout=out)
    (printed,) = read_anchors(out.getvalue().splitlines())
    assert (printed.clinic, printed.number) == (clinic.pk, 5)
    assert f"Audit anchor {printed}" in caplog.text
    assert str(printed) in [str(one) for one in stored_anchors()]


def test_a_storage_that_cannot_be_read_is_said(house: House, clinic: Clinic, folder: Path) -> None:
    broken = folder / "2026"
    for path in folder.iterdir():
        path.rename(broken.with_name("aside"))
    broken.mkdir()
    (broken / "x.txt").mkdir()  # a folder where a file belongs is no anchor; a file that cannot be read is
    (broken / "y.txt").symlink_to(broken / "nowhere")
    with pytest.raises(CommandError, match="stored anchors cannot be read"):
        call_command("verify_audit")
    page = browser(house.superuser).post(reverse("operations-verify"), follow=True)
    assert "cannot be read, so nothing was verified" in page.content.decode()


def test_the_page_says_what_confirms_it(house: House, clinic: Clinic) -> None:
    page = browser(house.superuser).post(reverse("operations-verify"), follow=True).content.decode()
    assert "5 events, the chain is intact. 1 anchor confirms it." in page
    tamper(*(statement.format(number=2) for statement in CUT))
    page = browser(house.superuser).post(reverse("operations-verify"), follow=True).content.decode()
    assert f"{clinic.name}: the chain is broken at event 3." in page


def test_each_time_is_an_object_of_its_own(clinic: Clinic) -> None:
    write_anchors(current_anchors())
    storage = storages["anchors"]
    (year,) = storage.listdir("")[0]
    (month,) = storage.listdir(year)[0]
    assert len(storage.listdir(f"{year}/{month}")[1]) == 2
