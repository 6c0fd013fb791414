"""The steps after a claim: extended, failed, crashed, given back, expired, called off."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now

from tests.analyses.claims import Expire, actions, again, claimed, clock, result_for
from tests.factories import make_analysis, make_bundle, make_clinic, make_study
from tests.threads import at_once
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.analyses.queue import steps
from xrayportal.analyses.queue.claims import claim_analyses
from xrayportal.analyses.results import UnreadableView
from xrayportal.analyses.services import cancel_analysis, request_analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.actors import PORTAL, Actor

pytestmark = pytest.mark.django_db


class TestFail:
    def test_permanent_fails_with_its_sentence(self) -> None:
        claim = claimed()
        (image,) = claim.study.images.all()
        views = [UnreadableView(image.pk, "truncated", "“a.png”", "It ends.")]
        assert steps.fail(
            claim=claim, kind="truncated", sentence="a.png: it ends.", permanent=True, unreadable=views
        )
        row = again(claim)
        assert (row.state, row.error_kind, row.error_sentence) == ("failed", "truncated", "a.png: it ends.")
        assert row.finished_at is not None
        assert actions()[-1] == Action.ANALYSIS_FAILED

    def test_transient_waits_longer_each_time_and_then_fails(self) -> None:
        claim = claimed()
        pauses = [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
        assert len(pauses) == steps.ATTEMPTS - 1
        for attempt, pause in enumerate(pauses, start=1):
            assert claim.attempt == attempt
            began = clock()
            assert steps.fail(claim=claim, kind="storage", sentence="The storage is away.", permanent=False)
            row = again(claim)
            assert row.state == "queued"
            assert began <= row.not_before - timedelta(seconds=pause) <= clock()
            Analysis.objects.update(not_before=F("not_before") + timedelta(hours=1))  # however slow we are
            assert claim_analyses(worker="w", limit=1) == [], "it pauses"
            Analysis.objects.update(not_before=Now())
            (claim,) = claim_analyses(worker="w", limit=1)
        assert steps.fail(claim=claim, kind="storage", sentence="The storage is away.", permanent=False)
        assert again(claim).state == "failed"
        assert again(claim).crashes_alone == 0

    def test_late_changes_nothing(self, expire: Expire) -> None:
        claim = claimed()
        expire(claim)
        steps.requeue_expired()
        assert not steps.fail(claim=claim, kind="x", sentence="x", permanent=True)
        assert not steps.record_crash(claim=claim, kind="x", sentence="x")
        assert not steps.is_current(claim=claim)
        assert again(claim).state == "queued"


class TestCrash:
    def test_alone_it_counts_to_the_cap(self) -> None:
        claim = claimed()
        for count in range(1, steps.CRASHES_ALONE):
            assert steps.record_crash(claim=claim, kind="unexpected", sentence="Unknown.")
            assert (again(claim).state, again(claim).crashes_alone) == ("queued", count)
            (claim,) = claim_analyses(worker="w", limit=4)
        assert steps.record_crash(claim=claim, kind="unexpected", sentence="Unknown.")
        assert (again(claim).state, again(claim).error_sentence) == ("failed", "Unknown.")

    def test_with_neighbours_it_blames_nobody(self, waiting: Callable[..., Analysis]) -> None:
        clinic = make_clinic()
        for _ in range(3):
            waiting(clinic)
        first, *_ = claim_analyses(worker="w", limit=3)
        assert steps.record_crash(claim=first, kind="unexpected", sentence="Unknown.")
        assert (again(first).state, again(first).crashes_alone) == ("queued", 0)
        (alone,) = claim_analyses(worker="w", limit=3)
        assert (alone.pk, alone.claimed_alone) == (first.pk, True)


class TestExpiry:
    def test_a_death_among_neighbours_blames_nobody_then_each_goes_alone(
        self, waiting: Callable[..., Analysis], expire: Expire
    ) -> None:
        clinic = make_clinic()
        for _ in range(3):
            waiting(clinic)
        for claim in claim_analyses(worker="w", limit=3):
            expire(claim)
        assert steps.requeue_expired() == 3
        assert set(Analysis.objects.values_list("state", "crashes_alone")) == {("queued", 0)}
        assert [len(claim_analyses(worker="w", limit=3)) for _ in range(4)] == [1, 1, 1, 0]

    def test_three_deaths_alone_and_it_is_given_up(self, expire: Expire) -> None:
        claim = claimed()
        for _ in range(steps.CRASHES_ALONE):
            expire(claim)
            assert steps.requeue_expired() == 1
            claim = next(iter(claim_analyses(worker="w", limit=4)), claim)
        row = again(claim)
        assert (row.state, row.error_kind) == ("failed", "worker_died")
        assert row.error_sentence == "The worker process died 3 times on this file."
        assert actions().count(Action.ANALYSIS_REQUEUED) == 2
        assert actions().count(Action.ANALYSIS_FAILED) == 1

    def test_a_lease_that_holds_is_left_alone(self) -> None:
        claimed()
        assert steps.requeue_expired() == 0

    @pytest.mark.django_db(transaction=True)
    def test_two_reconcilers_requeue_once(self, waiting: Callable[..., Analysis], expire: Expire) -> None:
        clinic = make_clinic()
        for _ in range(20):
            waiting(clinic)
        for claim in claim_analyses(worker="w", limit=20):
            expire(claim)
        assert sum(at_once(lambda _: steps.requeue_expired(), range(4))) == 20
        assert AuditEvent.objects.filter(action=Action.ANALYSIS_REQUEUED).count() == 20


class TestExtend:
    def test_renews_what_is_ours(self, waiting: Callable[..., Analysis]) -> None:
        clinic = make_clinic()
        for _ in range(2):
            waiting(clinic)
        claims = claim_analyses(worker="w", limit=2)
        Analysis.objects.update(leased_until=Now() + timedelta(seconds=1))
        began = clock()
        assert steps.extend(claims=claims, worker="w") == {claim.pk for claim in claims}
        leased_until = again(claims[0]).leased_until
        assert leased_until is not None
        assert began <= leased_until - timedelta(seconds=settings.LEASE_SECONDS) <= clock()

    def test_not_what_others_have(self, expire: Expire) -> None:
        claim = claimed()
        assert steps.extend(claims=[claim], worker="somebody else") == set()
        expire(claim)
        steps.requeue_expired()
        claim_analyses(worker="w", limit=1)
        assert steps.extend(claims=[claim], worker="w") == set(), "ours, but another attempt"

    def test_never_beyond_the_hard_limit(self) -> None:
        claim = claimed()
        hard = timedelta(seconds=settings.TASK_HARD_SECONDS)
        Analysis.objects.update(started_at=Now() - hard + timedelta(seconds=5))
        assert steps.extend(claims=[claim], worker="w") == {claim.pk}
        row = again(claim)
        assert row.leased_until is not None
        assert row.started_at is not None
        assert row.leased_until - row.started_at == hard
        Analysis.objects.update(started_at=Now() - hard)
        assert steps.extend(claims=[claim], worker="w") == set()

    def test_nothing_to_extend(self) -> None:
        assert steps.extend(claims=[], worker="w") == set()


class TestCancel:
    def test_a_waiting_one_ends_at_once(self) -> None:
        make_bundle()
        study = make_study()
        asked = request_analysis(study=study)
        row = cancel_analysis(analysis=asked, actor=PORTAL)
        assert (row.state, row.is_finished) == ("cancelled", True)
        assert row.finished_at is not None
        assert claim_analyses(worker="w", limit=1) == []
        assert request_analysis(study=study).pk != asked.pk

    @pytest.mark.parametrize("ending", ["complete", "fail", "crash", "release", "expire", "ask"])
    def test_a_running_one_ends_cancelled_however_it_ends(self, ending: str, expire: Expire) -> None:
        claim = claimed()
        row = cancel_analysis(analysis=claim, actor=Actor(address="127.0.0.1"))
        assert (row.state, row.cancel_requested) == ("running", True)
        if ending == "complete":
            assert not steps.complete(claim=claim, result=result_for(claim))
        elif ending == "fail":
            steps.fail(claim=claim, kind="x", sentence="x", permanent=True)
        elif ending == "crash":
            steps.record_crash(claim=claim, kind="x", sentence="x")
        elif ending == "release":
            steps.release(claims=[claim])
        elif ending == "ask":
            assert not steps.is_current(claim=claim)
        else:
            expire(claim)
            steps.requeue_expired()
        row = again(claim)
        assert (row.state, row.verdict, row.error_sentence) == ("cancelled", "", "")
        assert not Finding.objects.exists()
        kinds = [
            event.detail["kind"] for event in AuditEvent.objects.filter(action=Action.ANALYSIS_CANCELLED)
        ]
        assert sorted(kinds) == ["asked_while_running", "ended_while_running"]

    @pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
    def test_what_has_finished_stays(self, state: str) -> None:
        finished = make_analysis(make_study(), state=state)
        assert cancel_analysis(analysis=finished, actor=PORTAL).state == state
        assert actions() == []

    def test_asking_again_takes_the_cancellation_back(self) -> None:
        claim = claimed()
        cancel_analysis(analysis=claim, actor=PORTAL)
        assert request_analysis(study=claim.study).pk == claim.pk
        assert steps.complete(claim=claim, result=result_for(claim))


def test_released_work_waits_again_without_blame() -> None:
    claim = claimed()
    steps.release(claims=[claim])
    row = again(claim)
    assert (row.state, row.crashes_alone, row.leased_until) == ("queued", 0, None)
    assert len(claim_analyses(worker="w", limit=1)) == 1
    steps.release(claims=[claim, Analysis(pk=uuid.uuid4(), attempt=1)])  # late: nothing happens
    assert again(claim).state == "running"
