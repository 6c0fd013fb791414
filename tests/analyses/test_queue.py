"""The steps after a claim: extended, completed, failed, crashed, given back, expired, called off."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from tests.factories import make_analysis, make_bundle, make_clinic, make_study
from tests.threads import at_once
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.analyses.queue import steps
from xrayportal.analyses.queue.claims import claim_analyses
from xrayportal.analyses.results import AnalysisResult, UnreadableView, ViewResult
from xrayportal.analyses.services import cancel_analysis, request_analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import verify
from xrayportal.clinics.actors import PORTAL, Actor
from xrayportal.studies.models import Image, Study

pytestmark = pytest.mark.django_db

Expire = Callable[[Analysis], None]


def result_for(analysis: Analysis, *, unreadable: tuple[Image, ...] = ()) -> AnalysisResult:
    """An abnormal result with one finding a view."""
    images = [image for image in analysis.study.images.all() if image not in unreadable]
    views = [
        ViewResult(
            image_id=image.pk,
            verdict="abnormal",
            body_parts={"wrist": 1.0},
            probability=0.9,
            peak=(3, 4),
            trust=0.5,
            ood_distance=0.2,
            width=10,
            height=20,
            spacing=(0.1, 0.1),
            display_file="d",
            thumbnail_file="t",
            overlay_file="o",
            map_file="m",
            milliseconds={"decode": 1.0},
        )
        for image in images
    ]
    return AnalysisResult(
        verdict="abnormal",
        body_part="wrist",
        body_parts={"wrist": 1.0},
        probability=0.9,
        views=views,
        unreadable=[
            UnreadableView(image.pk, "truncated", "“view.png”", "It ends too early.") for image in unreadable
        ],
        runtime="openvino 1",
        precision="f32",
        software="0.1.0",
        milliseconds={"decode": 1.0},
    )


def claimed(views: int = 1) -> Analysis:
    """A requested and claimed analysis of a new study."""
    make_bundle()
    request_analysis(study=make_study(views=views))
    (claim,) = claim_analyses(worker="w", limit=1)
    return claim


def again(claim: Analysis) -> Analysis:
    """The row as it is now."""
    return Analysis.objects.get(pk=claim.pk)


def clock() -> datetime:
    """The time by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def actions() -> list[str]:
    """The actions and details of the audit events, oldest first."""
    return list(AuditEvent.objects.order_by("id").values_list("action", flat=True))


class TestComplete:
    def test_writes_result_findings_current_and_audit(self) -> None:
        claim = claimed(views=2)
        broken = claim.study.images.all()[1]
        assert steps.complete(claim=claim, result=result_for(claim, unreadable=(broken,)))
        row = again(claim)
        assert (row.state, row.verdict, row.body_part, row.probability) == (
            "succeeded",
            "abnormal",
            "wrist",
            0.9,
        )
        assert (row.views, row.runtime, row.precision) == (2, "openvino 1", "f32")
        assert row.unreadable == [
            {
                "image": str(broken.pk),
                "kind": "truncated",
                "file": "“view.png”",
                "sentence": "Could not read “view.png”. It ends too early.",
            }
        ]
        finding = Finding.objects.get(analysis=row)
        assert (finding.peak_x, finding.peak_y, finding.spacing) == (3, 4, [0.1, 0.1])
        assert Study.objects.get(pk=row.study_id).current == row
        assert actions() == [Action.ANALYSIS_REQUESTED, Action.ANALYSIS_SUCCEEDED]
        assert verify(clinic=row.clinic).is_whole

    def test_a_late_answer_changes_nothing(self, expire: Expire, caplog: pytest.LogCaptureFixture) -> None:
        claim = claimed()
        expire(claim)
        assert steps.requeue_expired() == 1
        assert not steps.complete(claim=claim, result=result_for(claim))
        assert "Late answer" in caplog.text
        row = again(claim)
        assert (row.state, row.verdict) == ("queued", "")
        (second,) = claim_analyses(worker="other", limit=1)
        assert not steps.complete(claim=claim, result=result_for(claim)), (
            "the second attempt runs, not the first"
        )
        assert steps.complete(claim=second, result=result_for(second))
        assert not steps.complete(claim=second, result=result_for(second)), "once is enough"
        assert Finding.objects.count() == 1

    def test_of_a_deleted_study_is_ignored(self) -> None:
        claim = claimed()
        result = result_for(claim)
        Study.objects.get(pk=claim.study_id).delete()
        assert not steps.complete(claim=claim, result=result)

    def test_an_older_request_does_not_replace_a_newer_result(self) -> None:
        claim = claimed()
        newer = make_analysis(claim.study, requested_at=timezone.now() + timedelta(hours=1))
        assert steps.complete(claim=claim, result=result_for(claim))
        assert Study.objects.get(pk=claim.study_id).current == newer

    def test_a_shadow_is_never_the_current_result(self) -> None:
        make_bundle()
        request_analysis(study=make_study(), purpose=Analysis.Purpose.SHADOW)
        (claim,) = claim_analyses(worker="w", limit=1)
        assert steps.complete(claim=claim, result=result_for(claim))
        assert Study.objects.get(pk=claim.study_id).current is None

    @pytest.mark.django_db(transaction=True)
    def test_two_answers_at_once_count_once(self) -> None:
        claim = claimed()
        result = result_for(claim)
        answers = at_once(lambda _: steps.complete(claim=claim, result=result), range(4))
        assert sorted(answers) == [False, False, False, True]
        assert Finding.objects.count() == 1


class TestCompleteAll:
    def test_of_two_results_of_a_study_the_newer_request_counts(self) -> None:
        study = make_study()
        make_bundle()
        for part in ("wrist", ""):
            request_analysis(study=study, forced_body_part=part)
        older, newer = Analysis.objects.order_by("requested_at")
        Analysis.objects.filter(pk=older.pk).update(requested_at=F("requested_at") - timedelta(hours=1))
        claims = claim_analyses(worker="w", limit=2)
        assert steps.complete_all([(claim, result_for(claim)) for claim in claims]) == {older.pk, newer.pk}
        assert Study.objects.get().current == newer
        assert Finding.objects.count() == 2
        assert verify(clinic=study.clinic).is_whole

    def test_writes_what_one_by_one_would(self) -> None:
        """The same columns, whichever way; only ids and times differ."""
        single, other = claimed(views=2), claimed(views=2)
        broken = [claim.study.images.all()[1] for claim in (single, other)]
        assert steps.complete(claim=single, result=result_for(single, unreadable=(broken[0],)))
        done = steps.complete_all([(other, result_for(other, unreadable=(broken[1],)))])
        assert done == {other.pk}
        own = (
            "id",
            "clinic_id",
            "study_id",
            "requested_at",
            "not_before",
            "started_at",
            "finished_at",
            "unreadable",
        )
        rows = [Analysis.objects.filter(pk=claim.pk).values().get() for claim in (single, other)]
        assert [{**row, **dict.fromkeys(own)} for row in rows] == [{**rows[0], **dict.fromkeys(own)}] * 2
        assert all(row["finished_at"] > row["started_at"] for row in rows)

    @pytest.mark.django_db(transaction=True)
    def test_leaves_what_somebody_holds_and_does_not_wait(self) -> None:
        first, second = claimed(), claimed()
        with ThreadPoolExecutor(1) as pool, transaction.atomic():
            Study.objects.select_for_update().get(pk=first.study_id)

            def rival() -> set[uuid.UUID]:
                try:
                    return steps.complete_all([(claim, result_for(claim)) for claim in (first, second)])
                finally:
                    connections.close_all()

            assert pool.submit(rival).result(timeout=10) == {second.pk}
        assert [again(claim).state for claim in (first, second)] == ["running", "succeeded"]
        assert steps.complete_all([(claim, result_for(claim)) for claim in (first, second)]) == {first.pk}


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
