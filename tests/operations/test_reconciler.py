"""The reconciler: each step of a round, the one that leads, and files that no row names."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from tests.factories import make_analysis, make_bundle, make_clinic, make_study, make_submission
from tests.threads import at_once
from tests.waiting import PATIENCE
from xrayportal.analyses.models import Analysis, Heartbeat, Worker
from xrayportal.analyses.orphans import sweep
from xrayportal.analyses.queue.claims import claim_analyses
from xrayportal.analyses.workers import WorkerHeartbeat, live_workers
from xrayportal.clinics.actors import PORTAL, Actor
from xrayportal.embedded.processes import wait_until
from xrayportal.intake.deletion import Reason, delete_study
from xrayportal.operations import reconciler as module
from xrayportal.operations.reconciler import Reconciler
from xrayportal.studies.locks import name_lock
from xrayportal.studies.models import Study, Submission

pytestmark = pytest.mark.django_db(transaction=True)


def leads_soon(reconciler: Reconciler) -> bool:
    """Do rounds until this reconciler leads: the server notices a moment later that a session has ended."""
    return wait_until(reconciler.round, seconds=PATIENCE)


@pytest.fixture(autouse=True)
def _unlock() -> None:
    """Give the lead back: it belongs to the database session, which all tests share."""
    assert leads_soon(Reconciler())
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_all()")
    Heartbeat.objects.all().delete()


@pytest.fixture(autouse=True)
def _own_files(tmp_path: Path, settings: Settings) -> None:
    """A file storage of the test's own."""
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list with one entry for each wake-up that the reconciler sends."""
    calls: list[str] = []
    monkeypatch.setattr(module, "wake_workers", lambda: calls.append("woken"))
    return calls


def old(name: str) -> None:
    """Make a stored file older than the grace period."""
    past = time.time() - 2 * 24 * 3600
    os.utime(default_storage.path(name), (past, past))


def test_expired_leases_are_requeued_and_workers_woken(
    waiting: Callable[..., Analysis], expire: Callable[[Analysis], None], woken: list[str]
) -> None:
    waiting(make_clinic())
    (mine,) = claim_analyses(worker="w", limit=1)
    expire(mine)
    assert Reconciler().round()
    assert Analysis.objects.get().state == "queued"
    assert woken == ["woken"]


def test_nobody_is_woken_for_nothing(waiting: Callable[..., Analysis], woken: list[str]) -> None:
    waiting(make_clinic(), not_before=Now() + timedelta(hours=1))
    assert Reconciler().round()
    assert woken == []
    Worker.objects.create(name="current", bundle=make_bundle().name)
    assert Reconciler().round()
    assert woken == []


def test_a_worker_without_the_active_bundle_is_woken(woken: list[str]) -> None:
    make_bundle()
    Worker.objects.create(name="old", bundle="other@1")
    assert Reconciler().round()
    assert woken == ["woken"]


def test_quiet_studies_are_sealed_and_left_submissions_finished(settings: Settings, woken: list[str]) -> None:
    make_bundle()
    clinic = make_clinic()
    left, active = make_submission(clinic), make_submission(clinic)
    quiet, fresh = (make_study(submission=one, state="open") for one in (left, active))
    Study.objects.filter(pk=quiet.pk).update(last_view_at=Now() - timedelta(hours=1))
    Submission.objects.filter(pk=left.pk).update(last_upload_at=Now() - timedelta(hours=1))
    assert Reconciler().round()
    assert Study.objects.get(pk=quiet.pk).state == "sealed"
    assert Study.objects.get(pk=fresh.pk).state == "open"
    assert Analysis.objects.get().study == quiet
    assert Submission.objects.get(pk=left.pk).state == "finished"
    assert Submission.objects.get(pk=active.pk).state == "open"


def test_without_a_bundle_studies_wait_and_the_rest_is_done(
    woken: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    study = make_study(state="open")
    Study.objects.update(last_view_at=Now() - timedelta(hours=1))
    Worker.objects.create(name="dead", last_seen=Now() - timedelta(hours=1))
    Worker.objects.create(name="waits for a bundle", bundle="")
    reconciler = Reconciler()
    for _ in range(3):
        assert reconciler.round()
    assert Study.objects.get(pk=study.pk).state == "open"
    assert Worker.objects.get().name == "waits for a bundle"
    assert woken == [], "there is nothing to load"
    assert caplog.text.count("bundle") == 1, "logged when it begins, not every round"
    make_bundle()
    assert reconciler.round()
    assert Study.objects.get(pk=study.pk).state == "sealed"
    assert woken == ["woken"]


def test_a_round_refreshes_the_heartbeat() -> None:
    assert Reconciler().round()
    first = Heartbeat.objects.get(name=Heartbeat.RECONCILER).last_seen
    assert Reconciler().round()
    assert Heartbeat.objects.get().last_seen > first


def test_one_leads_and_the_next_takes_over() -> None:
    assert at_once(lambda _: leads_soon(Reconciler()), [0]) == [True]
    leader = Reconciler()
    assert leads_soon(leader), "the session of the one before has ended"
    assert at_once(lambda _: Reconciler().round(), range(3)) == [False, False, False]
    assert leader.round()
    connection.close()
    assert at_once(lambda _: leads_soon(Reconciler()), [0]) == [True]


def test_a_step_that_fails_does_not_keep_the_others_from_being_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ValueError("a mistake")

    Worker.objects.create(name="dead", last_seen=Now() - timedelta(hours=1))
    reconciler = Reconciler()
    monkeypatch.setattr(reconciler, "_seal_studies", broken)
    assert reconciler.round()
    assert "step broken failed" in caplog.text
    assert not Worker.objects.exists()


def test_a_submission_that_cannot_be_finished_keeps_no_other_open(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.FINISH_AFTER_SECONDS = 0
    clinic = make_clinic()
    broken, whole = make_submission(clinic), make_submission(clinic)
    finish = module.finish_submission

    def finish_but_one(*, submission: Submission, actor: Actor) -> None:
        if submission.pk == broken.pk:
            raise ValueError("a bug")
        finish(submission=submission, actor=actor)

    monkeypatch.setattr(module, "finish_submission", finish_but_one)
    assert leads_soon(Reconciler())
    assert not Submission.objects.get(pk=whole.pk).is_open
    assert Submission.objects.get(pk=broken.pk).is_open


def test_who_loses_the_session_in_a_step_does_nothing_more_without_the_lead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server ends the session (a restart, a failover), and another reconciler takes the lead."""
    other_leads, over = threading.Event(), threading.Event()

    def take_over(session: int) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, %s)", [session, 1000 * PATIENCE])
            assert leads_soon(Reconciler())
            other_leads.set()
            over.wait(PATIENCE)
        finally:
            connection.close()

    def lose() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            threads.append(threading.Thread(target=take_over, args=cursor.fetchone()))
            threads[0].start()
            assert other_leads.wait(PATIENCE)
            cursor.execute("SELECT 1")

    threads: list[threading.Thread] = []
    done: list[str] = []
    leader = Reconciler()
    assert leads_soon(leader)
    monkeypatch.setattr(leader, "_seal_studies", lose)
    monkeypatch.setattr(leader, "_finish_submissions", lambda: done.append("finished"))
    try:
        assert not leader.round()
    finally:
        over.set()
        threads[0].join()
    assert done == []


def test_a_session_that_has_ended_unseen_is_replaced() -> None:
    reconciler = Reconciler()
    assert leads_soon(reconciler)
    assert connection.connection is not None
    connection.connection.close()
    assert reconciler.round()


def test_a_database_that_stays_away_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reconciler = Reconciler()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "PORT", "1")
        connection.close()
        for _ in range(3):
            assert not reconciler.round()
    assert caplog.text.count("lost the database") == 1
    assert leads_soon(reconciler)


def test_a_database_that_goes_away_is_waited_for(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.RECONCILE_SECONDS = 0.02
    rounds: list[bool] = []
    reconciler = Reconciler()
    take_lead = reconciler._take_lead

    def sometimes() -> bool:
        rounds.append(True)
        if len(rounds) == 2:
            raise DatabaseError("gone")
        if len(rounds) == 4:
            reconciler.stop()
        return take_lead()

    monkeypatch.setattr(reconciler, "_take_lead", sometimes)
    reconciler.run()
    assert len(rounds) == 4
    assert Heartbeat.objects.exists()


def test_the_command_does_one_round() -> None:
    call_command("reconcile", "--once")
    with pytest.raises(CommandError, match="another reconciler leads"):
        at_once(lambda _: call_command("reconcile", "--once"), [0])


class TestOrphans:
    def test_only_old_files_without_rows_go(self) -> None:
        analysis = make_analysis(make_study(views=2))
        kept = {image.file for image in analysis.study.images.all()}
        for finding in analysis.findings.all():
            kept |= {finding.display_file, finding.thumbnail_file, finding.overlay_file, finding.map_file}
        folder = f"clinics/{analysis.clinic_id}"
        orphans = {
            f"{folder}/originals/aa/{'a' * 64}",
            f"{folder}/findings/{analysis.pk}/9-lost-display.jpg",
            f"{folder}/findings/not-an-id/x.jpg",
        }
        young = f"{folder}/originals/bb/{'b' * 64}"
        for name in [*orphans, young]:
            default_storage.save(name, ContentFile(b"x"))
        for name in [*orphans, *kept]:
            old(name)
        assert sum(sweep()) == 3
        assert not any(default_storage.exists(name) for name in orphans)
        assert all(default_storage.exists(name) for name in [*kept, young])
        # A folder that was an analysis' goes with its last file; one that is an analysis' stays.
        assert default_storage.listdir(f"{folder}/findings")[0] == [str(analysis.pk)]
        delete_study(study=analysis.study, reason=Reason.MISTAKE, actor=PORTAL)
        assert default_storage.listdir(f"{folder}/findings")[0] == [str(analysis.pk)]
        sum(sweep())
        assert default_storage.listdir(f"{folder}/findings")[0] == []
        assert default_storage.exists(f"{folder}/originals/aa")

    def test_what_a_kill_left_half_written_goes_too(self) -> None:
        name = f"clinics/{make_clinic().pk}/originals/cc/.partial-x"
        default_storage.save(name, ContentFile(b"x"))
        old(name)
        assert sum(sweep()) == 1

    def test_a_file_that_is_being_named_again_is_kept(self) -> None:
        """An upload of the same content holds the name's lock while it writes the file anew."""
        name = f"clinics/{make_clinic().pk}/originals/dd/{'d' * 64}"
        default_storage.save(name, ContentFile(b"x"))
        old(name)
        held, written = threading.Event(), threading.Event()

        def upload_or_sweep(index: int) -> int:
            if index == 0:
                with name_lock(name):
                    held.set()
                    time.sleep(0.3)
                    default_storage.save(name, ContentFile(b"x"))
                    written.set()
                return 0
            held.wait()
            removed = sum(sweep())
            assert written.is_set(), "the sweep waited for the lock"
            return removed

        assert at_once(upload_or_sweep, range(2)) == [0, 0]
        assert default_storage.exists(name)

    def test_the_walk_goes_on_from_round_to_round(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clinic = make_clinic()
        names = [f"clinics/{clinic.pk}/originals/{letter * 2}/{letter * 64}" for letter in "abcd"]
        for name in names:
            default_storage.save(name, ContentFile(b"x"))
            old(name)
        monkeypatch.setattr(module, "_SWEEP_SECONDS", -1.0)  # one folder a round
        reconciler = Reconciler()
        for left in (3, 2, 1, 0):
            assert reconciler.round()
            assert sum(default_storage.exists(name) for name in names) == left
        default_storage.save(names[0], ContentFile(b"x"))
        old(names[0])
        reconciler.round()
        reconciler.round()
        assert default_storage.exists(names[0]), "the next walk is an hour away"


class TestAttendance:
    def test_says_that_it_lives_extends_and_notices_losses(
        self, waiting: Callable[..., Analysis], expire: Callable[[Analysis], None]
    ) -> None:
        clinic = make_clinic()
        for _ in range(2):
            waiting(clinic)
        kept, lost = claim_analyses(worker="w", limit=2)
        heartbeat = WorkerHeartbeat(Worker(name="w", bundle="b@1", runtime="openvino"))
        heartbeat.holds([kept, lost])
        Analysis.objects.update(leased_until=Now() + timedelta(seconds=1))
        Analysis.objects.filter(pk=lost.pk).update(attempt=2)
        heartbeat.beat()
        assert live_workers().get().bundle == "b@1"
        assert heartbeat.has_lost(lost)
        assert not heartbeat.has_lost(kept)
        assert not heartbeat.has_lost(Analysis.objects.get(pk=lost.pk)), "a later claim of the same"
        row = Analysis.objects.get(pk=kept.pk)
        assert row.leased_until is not None
        assert row.leased_until - (row.started_at or row.leased_until) > timedelta(seconds=5)

    def test_goes_on_after_a_session_that_ended_unseen(self) -> None:
        heartbeat = WorkerHeartbeat(Worker(name="w"))
        heartbeat.beat()
        assert connection.connection is not None
        connection.connection.close()
        heartbeat.beat()
        Worker.objects.all().delete()
        heartbeat.beat()
        assert Worker.objects.get().name == "w"

    def test_beats_by_itself_and_signs_off(self, settings: Settings) -> None:
        settings.LEASE_SECONDS = 0.3
        heartbeat = WorkerHeartbeat(Worker(name="w"))
        heartbeat.start()
        assert wait_until(Worker.objects.exists, seconds=PATIENCE)
        assert Worker.objects.get().name == "w"
        heartbeat.end()
        assert not heartbeat.is_alive()
        assert not Worker.objects.exists()
