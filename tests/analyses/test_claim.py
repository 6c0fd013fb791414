"""Claims: order, fairness, the share of bulk work, workers at the same time, and their speed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from tests.factories import make_bundle, make_clinic, make_submission
from tests.threads import at_once
from xrayportal.analyses.models import Analysis
from xrayportal.analyses.queue.claims import CLAIM, claim_analyses, has_due
from xrayportal.studies.models import Queue

pytestmark = pytest.mark.django_db

Waiting = Callable[..., Analysis]


def test_a_claim_runs_with_a_lease_and_counts_its_attempt(waiting: Waiting) -> None:
    row = waiting(make_clinic())
    (mine,) = claim_analyses(worker="a", limit=4)
    assert mine.pk == row.pk
    assert (mine.state, mine.attempt, mine.worker, mine.claimed_alone) == ("running", 1, "a", True)
    assert mine.leased_until is not None
    assert mine.started_at is not None
    assert mine.leased_until - mine.started_at == timedelta(seconds=settings.LEASE_SECONDS)
    assert claim_analyses(worker="b", limit=4) == []


def test_what_is_not_due_waits(waiting: Waiting) -> None:
    waiting(make_clinic(), not_before=Now() + timedelta(hours=1))
    assert not has_due()
    assert claim_analyses(worker="a", limit=4) == []


def test_priority_then_age_within_a_clinic(waiting: Waiting) -> None:
    clinic = make_clinic()
    old, young, urgent = waiting(clinic), waiting(clinic), waiting(clinic, priority=5)
    assert [row.pk for row in claim_analyses(worker="a", limit=3)] == [urgent.pk, old.pk, young.pk]


def test_clinics_take_turns_within_a_batch(waiting: Waiting) -> None:
    busy, quiet = make_clinic(), make_clinic()
    rows = [waiting(busy, priority=9) for _ in range(6)]
    late = waiting(quiet)
    assert [row.pk for row in claim_analyses(worker="a", limit=3)] == [rows[0].pk, late.pk, rows[1].pk]


def test_clinics_take_turns_from_claim_to_claim(waiting: Waiting) -> None:
    clinics = [make_clinic() for _ in range(3)]
    for clinic in clinics:
        for _ in range(4):
            waiting(clinic)
    served = [claim_analyses(worker="a", limit=1)[0].clinic_id for _ in range(12)]
    for turn in range(4):
        assert set(served[3 * turn : 3 * turn + 3]) == {clinic.pk for clinic in clinics}


@pytest.mark.parametrize("limit", [1, 2, 4, 10])
def test_bulk_keeps_its_share_and_no_more(waiting: Waiting, limit: int) -> None:
    clinic = make_clinic()
    for _ in range(100):
        waiting(clinic)
    for _ in range(60):
        waiting(clinic, queue=Queue.BULK)
    started: list[str] = []
    while len(started) < 100:
        started += [row.queue for row in claim_analyses(worker="a", limit=limit)]
    assert Counter(started[:100])[Queue.BULK] == pytest.approx(100 / settings.BULK_EVERY, abs=1)


def test_one_queue_alone_gets_everything(waiting: Waiting) -> None:
    clinic = make_clinic()
    for _ in range(6):
        waiting(clinic, queue=Queue.BULK)
    assert len(claim_analyses(worker="a", limit=4)) == 4
    assert len(claim_analyses(worker="a", limit=4)) == 2


def test_a_row_with_earlier_attempts_goes_alone(waiting: Waiting) -> None:
    clinic = make_clinic()
    suspect, *others = (waiting(clinic) for _ in range(4))
    Analysis.objects.filter(pk=suspect.pk).update(attempt=1)
    (alone,) = claim_analyses(worker="a", limit=4)
    assert (alone.pk, alone.attempt, alone.claimed_alone) == (suspect.pk, 2, True)
    batch = claim_analyses(worker="a", limit=4)
    assert [row.pk for row in batch] == [row.pk for row in others]
    assert not any(row.claimed_alone for row in batch)


def test_a_batch_leaves_out_suspects_further_down(waiting: Waiting) -> None:
    clinic = make_clinic()
    first, suspect, third = (waiting(clinic) for _ in range(3))
    Analysis.objects.filter(pk=suspect.pk).update(attempt=2)
    assert [row.pk for row in claim_analyses(worker="a", limit=3)] == [first.pk, third.pk]
    assert [row.pk for row in claim_analyses(worker="a", limit=3)] == [suspect.pk]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("workers", "limit"), [(8, 1), (8, 4), (3, 16)])
def test_rivals_never_get_the_same_row(waiting: Waiting, workers: int, limit: int) -> None:
    clinics = [make_clinic() for _ in range(2)]
    for number in range(120):
        waiting(clinics[number % 2], queue=Queue.BULK if number % 3 == 0 else Queue.INTERACTIVE)

    def drain(index: int) -> list[str]:
        mine: list[str] = []
        while has_due():
            mine += [str(row.pk) for row in claim_analyses(worker=f"w{index}", limit=limit)]
        return mine

    taken = [pk for mine in at_once(drain, range(workers)) for pk in mine]
    assert len(taken) == 120
    assert len(set(taken)) == 120
    assert set(Analysis.objects.values_list("attempt", flat=True)) == {1}


@pytest.mark.slow
def test_a_claim_is_fast_with_a_hundred_thousand_waiting(explain: Callable[..., str]) -> None:
    """By the partial indexes: nothing that grows with the queue is read or sorted.

    Measured in blocks read, which a busy machine does not change; on an idle machine they take 3 ms.
    """
    bundle = make_bundle()
    for clinic in [make_clinic() for _ in range(40)]:
        submission = make_submission(clinic)
        with connection.cursor() as cursor:
            cursor.execute(
                "WITH s AS (INSERT INTO studies_study (id, clinic_id, submission_id, grouping_key,"
                " patient_reference, state, priority, stated_body_part, created_at, last_view_at)"
                " SELECT gen_random_uuid(), %(clinic)s, %(submission)s, 'k' || n, '', 'sealed', 0, '', now(),"
                " now() FROM generate_series(1, 2500) AS n RETURNING id)"
                " INSERT INTO analyses_analysis (id, clinic_id, study_id, bundle_id, purpose,"
                " forced_body_part, requested_at, threshold_low, threshold_high, thresholds_by_clinic, state,"
                " queue, priority,"
                " not_before, attempt, claimed_alone, crashes_alone, worker, cancel_requested, error_kind,"
                " error_sentence, verdict, reason, leaning, body_part, body_parts, unreadable, views,"
                " runtime, precision, software, milliseconds)"
                " SELECT gen_random_uuid(), %(clinic)s, id, %(bundle)s, 'primary', '',"
                " now() - random() * interval '1 hour', 0.2, 0.7, false, 'queued',"
                " CASE WHEN random() < 0.8 THEN 'bulk' ELSE 'interactive' END, 0, now(), 0, false, 0, '',"
                " false, '', '', '', '', '', '', '{}', '[]', 0, '', '', '', '{}' FROM s",
                {"clinic": clinic.pk, "submission": submission.pk, "bundle": bundle.pk},
            )
    with connection.cursor() as cursor:
        # All: what checks foreign keys keeps its plans from when the tables were small.
        cursor.execute("ANALYZE")
    parameters = {"worker": "a", "limit": 4, "every": 5, "lease": 30}
    for _ in range(20):
        assert len(claim_analyses(worker="a", limit=4)) == 4
    plan = explain(CLAIM, parameters)
    assert "analysis_waiting" in plan
    assert "Seq Scan on analyses_analysis" not in plan
    whole = re.search(r"Buffers: shared hit=(\d+)(?: read=(\d+))?", plan)
    assert whole is not None
    # Of forty clinics, each with two queues: the way down the index, and eight rows.
    assert sum(int(blocks or 0) for blocks in whole.groups()) < 40 * 2 * 20, plan
