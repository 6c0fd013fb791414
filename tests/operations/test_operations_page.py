"""The operations page: figures for superusers and admins, and nothing of a patient."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_analysis, make_clinic, make_study
from tests.house import House, browser
from xrayportal.analyses.models import Analysis, Heartbeat, Worker
from xrayportal.audit.models import AuditEvent, AuditHead, ChainCheck
from xrayportal.audit.services import record
from xrayportal.clinics.models import User
from xrayportal.operations import figures
from xrayportal.web.operations import views

HTMX = {"HX-Request": "true"}


def look(person: User, house: House | None = None, query: str = "", **headers: str) -> Any:
    address = reverse("clinic-operations", args=[house.clinic.slug]) if house else reverse("operations")
    return browser(person).get(address + query, headers=headers)


def read(person: User, house: House | None = None) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", look(person, house).content.decode()).split())


@pytest.mark.parametrize("who", ["uploader", "reader", "admin", "stranger"])
def test_platform_is_for_superusers(house: House, who: str) -> None:
    assert look(getattr(house, who)).status_code == 404
    assert look(house.superuser).status_code == 200
    assert browser(None).get(reverse("operations")).status_code == 302


@pytest.mark.parametrize("who", ["uploader", "reader", "stranger", "superuser"])
def test_clinic_is_for_its_admins(house: House, who: str) -> None:
    assert look(getattr(house, who), house).status_code == 404
    assert look(house.admin, house).status_code == 200


def test_a_clock_that_was_set_back_makes_no_time_negative(house: House) -> None:
    analysis = make_analysis(make_study(house.clinic))
    now = timezone.now()
    Analysis.objects.filter(pk=analysis.pk).update(
        requested_at=now,
        started_at=now - timedelta(milliseconds=3),
        finished_at=now - timedelta(milliseconds=1),
    )
    latency = {row.stage: (row.median, row.p95) for row in figures.latency_of(house.clinic)}
    assert latency["wait"] == latency["total"] == (0, 0)
    assert "Waiting 0.0 ms 0.0 ms" in read(house.admin, house)


def test_links_lead_there_for_those_who_may(house: House) -> None:
    def links(person: User) -> set[str]:
        return set(
            re.findall(r'href="([^"]*operations/)"', browser(person).get("/", follow=True).content.decode())
        )

    assert links(house.superuser) == {reverse("operations")}
    page = look(house.admin, house).content.decode()
    address = reverse("clinic-operations", args=[house.clinic.slug])
    assert re.search(rf'href="{address}"[^>]* aria-current="page"', page)
    assert reverse("operations") not in set(re.findall(r'href="([^"]*)"', page))


def test_queues_workers_and_throughput(house: House) -> None:
    make_analysis(make_study(house.clinic), "queued")
    make_analysis(make_study(house.clinic), "running", queue="bulk")
    make_analysis(make_study(house.clinic))
    make_analysis(make_study(house.clinic), "failed")
    old = make_analysis(make_study(house.clinic))
    Analysis.objects.filter(pk=old.pk).update(finished_at=timezone.now() - timedelta(hours=3))
    Worker.objects.create(name="host-1", bundle="b@1", runtime="openvino", precision="f32")
    Worker.objects.create(name="host-2")
    Heartbeat.objects.create(name=Heartbeat.RECONCILER)
    words = read(house.superuser)
    assert "Interactive 1 0" in words
    assert "Bulk 0 1" in words
    assert "Done 1 2" in words
    assert "Failed 1 1" in words
    assert "host-1 b@1 openvino f32 Ready" in words
    assert "host-2 none none none Loading" in words.replace("\u2013", "none")
    assert "2 running" in words
    assert "Decode 3.0 ms 3.0 ms" in words
    assert "Reconciler Running" in words
    assert "Broker OK" in words


def test_a_clinic_reads_its_own_figures_only(house: House) -> None:
    other = make_clinic(name="Elsewhere")
    make_analysis(make_study(other), "queued")
    make_analysis(make_study(other), "failed")
    make_analysis(make_study(other))
    Worker.objects.create(name="secret-host", bundle="b@1")
    words = read(house.admin, house)
    assert "Interactive 0 0" in words
    assert "Done 0 0" in words
    assert "Nothing failed in the last week." in words
    assert "Nothing was analysed in the last day." in words
    assert "Elsewhere" not in words
    assert "secret-host" not in words
    assert "Elsewhere" in read(house.superuser)


def test_superusers_see_kinds_and_admins_see_sentences(house: House) -> None:
    study = make_study(house.clinic, patient_reference="NH-4711")
    make_analysis(study, "failed", error_kind="truncated", error_sentence="Could not read mueller.png.")
    platform, clinic = read(house.superuser), read(house.admin, house)
    for words in (platform, clinic):
        assert "truncated" in words
        assert str(study.pk)[:8] in words
        assert "NH-4711" not in words
    assert "mueller" not in platform
    assert "Could not read mueller.png." in clinic
    assert reverse("study", args=[house.clinic.slug, study.pk]) not in look(house.superuser).content.decode()


@pytest.mark.parametrize(("who", "name"), [("superuser", "operations"), ("admin", "clinic-operations")])
def test_retry_asks_for_a_new_analysis(house: House, who: str, name: str) -> None:
    failed = make_analysis(make_study(house.clinic), "failed", forced_body_part="wrist")
    person = getattr(house, who)
    slug = [house.clinic.slug] if name == "clinic-operations" else []
    address = reverse(f"{name}-retry", args=[*slug, failed.pk])
    assert address in browser(person).get(reverse(name, args=slug)).content.decode()
    assert browser(person).post(address).status_code == 302
    assert browser(person).get(address).status_code == 405
    analysis = Analysis.objects.get(state="queued")
    assert (analysis.study, analysis.forced_body_part, analysis.requested_by) == (
        failed.study,
        "wrist",
        person,
    )
    assert AuditEvent.objects.get(action="analysis-requested").actor_label == person.email
    page = browser(person).get(reverse(name, args=slug)).content.decode()
    assert address not in page
    assert "Requested again" in page


def test_retry_of_what_did_not_fail_or_is_elsewhere_is_404(house: House) -> None:
    done = make_analysis(make_study(house.clinic))
    elsewhere = make_analysis(make_study(make_clinic()), "failed")
    assert browser(house.superuser).post(reverse("operations-retry", args=[done.pk])).status_code == 404
    for who in (house.reader, house.admin):
        assert browser(who).post(reverse("operations-retry", args=[elsewhere.pk])).status_code == 404
        address = reverse("clinic-operations-retry", args=[house.clinic.slug, elsewhere.pk])
        assert browser(who).post(address).status_code == 404
    assert not Analysis.objects.filter(state="queued").exists()


def test_retry_without_a_bundle_says_why(house: House) -> None:
    failed = make_analysis(make_study(house.clinic), "failed")
    failed.bundle.is_active = False
    failed.bundle.save()
    answer = browser(house.superuser).post(reverse("operations-retry", args=[failed.pk]), follow=True)
    assert "bundle" in answer.content.decode().split('class="toasts"')[1]


def test_poll_has_no_body_until_something_changes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    # What other programs write is a change, too.
    monkeypatch.setattr(figures, "disk_of_files", lambda: figures.Disk(free=40, total=100))
    client = browser(house.superuser)
    page = client.get(reverse("operations")).content.decode()
    address = re.search(r'hx-get="([^"]+)"', page)[1]  # type: ignore[index]
    idle = client.get(address, headers=HTMX)
    assert (idle.status_code, idle.content) == (204, b"")
    make_analysis(make_study(house.clinic), "queued")
    changed = client.get(address, headers=HTMX)
    assert changed.status_code == 200
    assert changed.content.decode().count("<html") == 0
    assert 'id="operations"' in changed.content.decode()


def test_verification_is_kept_and_told(house: House) -> None:
    record(clinic=house.clinic, action="exported")  # type: ignore[arg-type]  # a code, as rows have it
    assert "Never" in read(house.admin, house)
    client = browser(house.admin)
    answer = client.post(reverse("clinic-operations-verify", args=[house.clinic.slug]), follow=True)
    assert "1 event, the chain is intact." in answer.content.decode()
    assert ChainCheck.objects.get().clinic == house.clinic
    assert "Intact" in read(house.admin, house)
    AuditHead.objects.filter(clinic=house.clinic).update(number=5)
    answer = browser(house.superuser).post(reverse("operations-verify"), follow=True)
    assert "the chain is broken at event 2." in answer.content.decode()
    assert "Broken at event 2" in read(house.superuser)


def test_long_chains_are_left_to_the_command(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "CHECKED_HERE", 0)
    record(clinic=house.clinic, action="exported")  # type: ignore[arg-type]  # a code, as rows have it
    answer = browser(house.superuser).post(reverse("operations-verify"), follow=True)
    assert "Run manage.py verify_audit." in answer.content.decode()
    assert not ChainCheck.objects.exists()


def test_cost_does_not_grow(house: House) -> None:
    client = browser(house.superuser)

    def queries() -> int:
        cache.clear()
        with CaptureQueriesContext(connection) as captured:
            client.get(reverse("operations"))
        return len(captured)

    make_analysis(make_study(house.clinic), "failed")
    few = queries()
    for _ in range(4):
        make_analysis(make_study(make_clinic()), "failed")
        make_analysis(make_study(make_clinic()))
    assert queries() == few <= 17


def test_silence_is_told(house: House, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    Heartbeat.objects.create(name=Heartbeat.RECONCILER, last_seen=timezone.now() - timedelta(hours=2))
    words = read(house.superuser)
    assert "None running: studies have to wait" in words
    assert "Not seen since 2 h ago" in words
    assert "No answer: analyses start a little later" in words
