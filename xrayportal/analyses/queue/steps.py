"""The queue's steps after the claim: extend, complete, fail, give back, expire. See docs/queue.md.

Every step names its attempt. A step for an attempt that is over, because its lease ran out and the
analysis was requeued, changes nothing. The database's clock is the only one.
Locks are taken in the order of the whole portal: submission, study, analysis, audit head.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from xrayportal.analyses.models import Analysis
from xrayportal.analyses.queue.store import lock_free, store_results
from xrayportal.analyses.results import AnalysisResult, UnreadableView
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.studies.models import Study

logger = logging.getLogger(__name__)

#: The analysis fails after so many unforeseen ends of attempts that ran alone.
CRASHES_ALONE = 3
#: It also fails after so many claims, when trouble comes and goes (storage, database): with the pauses
#: below, after about half an hour.
ATTEMPTS = 12
#: Pause before the next attempt: doubled each time, from the first to the second.
FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(minutes=5)

DIED = "worker_died"
DIED_SENTENCE = f"The worker process died {CRASHES_ALONE} times on this file."

_EXTEND = """
UPDATE analyses_analysis AS a
SET leased_until = least(
    statement_timestamp() + make_interval(secs => %(lease)s), a.started_at + make_interval(secs => %(hard)s)
)
FROM unnest(%(ids)s::uuid[], %(attempts)s::int[]) AS mine (id, attempt)
WHERE a.id = mine.id AND a.attempt = mine.attempt AND a.state = 'running' AND a.worker = %(worker)s
  AND a.started_at + make_interval(secs => %(hard)s) > statement_timestamp()
RETURNING a.id
"""


def extend(*, claims: Iterable[Analysis], worker: str) -> set[uuid.UUID]:
    """Renew the leases of a worker's claims; returns the ids of those that it still holds.

    The others were requeued, have finished, or have run into the hard limit, beyond which no lease goes.
    """
    claims = list(claims)
    with connection.cursor() as cursor:
        cursor.execute(
            _EXTEND,
            {
                "ids": [str(analysis.pk) for analysis in claims],
                "attempts": [analysis.attempt for analysis in claims],
                "worker": worker,
                "lease": settings.LEASE_SECONDS,
                "hard": settings.TASK_HARD_SECONDS,
            },
        )
        return {row[0] for row in cursor.fetchall()}


def is_current(*, claim: Analysis) -> bool:
    """Whether to begin the work on this claim.

    ``False`` if the lease was lost, or if the analysis was called off; it is then cancelled here.
    """
    # Nearly always the answer is yes, so the row is looked at before it is locked.
    is_called_off = _held(claim).values_list("cancel_requested", flat=True).first()
    if is_called_off:
        with transaction.atomic():
            row = _locked(claim)
            if row is not None:
                _cancel(row)
    return is_called_off is False


def complete(*, claim: Analysis, result: AnalysisResult) -> bool:
    """Record the result, whose files lie in the storage already, and make it the study's current one.

    ``False`` if the lease was lost, so that nothing changed, or if the analysis was called off.
    """
    with transaction.atomic():
        study = Study.objects.select_for_update(no_key=True).filter(pk=claim.study_id).first()
        row = _locked(claim)
        if study is None or row is None:
            logger.warning("Late answer for analysis %s, attempt %d: ignored", claim.pk, claim.attempt)
            return False
        if row.cancel_requested:
            _cancel(row)
            return False
        store_results([(claim, result)])
    return True


def complete_all(finished: Sequence[tuple[Analysis, AnalysisResult]]) -> set[uuid.UUID]:
    """Record several results in one transaction; returns the ids of the analyses that have theirs now.

    Those that were called off, lost or deleted, and those whose study somebody else holds at this moment, are
    left as they are, for `complete`: this never waits for a row, so it can hold several in any order.
    """
    with transaction.atomic():
        free = lock_free([claim for claim, _ in finished])
        store_results([(claim, result) for claim, result in finished if claim.pk in free])
    return free


def fail(
    *,
    claim: Analysis,
    kind: str,
    sentence: str,
    permanent: bool,
    unreadable: Sequence[UnreadableView] = (),
) -> bool:
    """End an attempt that failed. ``False`` if the lease was lost, so that nothing changed.

    ``permanent``: trying again would give the same. The analysis is then ``failed``: ``sentence`` tells
    people why, and ``unreadable`` are its views if they are the reason. Otherwise it waits and is tried
    again, up to ``ATTEMPTS`` claims.
    """
    with transaction.atomic():
        row = _locked(claim)
        if row is None:
            logger.warning("Late failure of analysis %s, attempt %d: ignored", claim.pk, claim.attempt)
            return False
        if row.cancel_requested:
            _cancel(row)
        elif permanent or row.attempt >= ATTEMPTS:
            row.unreadable = [view.as_json() for view in unreadable]
            _give_up(row, kind, sentence)
        else:
            _requeue(row, kind, pause=_pause(row.attempt))
    return True


def record_crash(*, claim: Analysis, kind: str, sentence: str) -> bool:
    """End an attempt that failed for an unforeseen reason. ``False`` if the lease was lost.

    The analysis is tried again, alone; it is ``failed`` after ``CRASHES_ALONE`` crashes of its own.
    """
    with transaction.atomic():
        row = _locked(claim)
        if row is None:
            logger.warning("Late crash of analysis %s, attempt %d: ignored", claim.pk, claim.attempt)
            return False
        _after_crash(row, kind, sentence)
    return True


def release(*, claims: Iterable[Analysis]) -> None:
    """Give back claims that were not begun; they wait again without a pause, and no crash is counted."""
    for claim in claims:
        with transaction.atomic():
            row = _locked(claim)
            if row is None:
                continue
            if row.cancel_requested:
                _cancel(row)
            else:
                _requeue(row, "released")


def requeue_expired(*, limit: int = 500) -> int:
    """Take back analyses whose lease ran out, each in a short transaction; returns how many.

    Where a worker died over several, none of them counts a crash; each is then claimed alone.
    """
    for count in range(limit):
        if not _requeue_one_expired():
            return count
    return limit


def _requeue_one_expired() -> bool:
    with transaction.atomic():
        row = (
            Analysis.objects.select_for_update(skip_locked=True)
            .filter(state=Analysis.State.RUNNING, leased_until__lt=Now())
            .order_by("leased_until")
            .first()
        )
        if row is None:
            return False
        logger.warning("Worker %s lost analysis %s, attempt %d", row.worker, row.pk, row.attempt)
        _after_crash(row, DIED, DIED_SENTENCE)
    return True


def _after_crash(row: Analysis, kind: str, sentence: str) -> None:
    if row.claimed_alone:
        row.crashes_alone += 1
    if row.cancel_requested:
        _cancel(row)
    elif row.crashes_alone >= CRASHES_ALONE:
        _give_up(row, kind, sentence)
    else:
        _requeue(row, kind)


def _locked(claim: Analysis) -> Analysis | None:
    """The claim's row, locked, if its attempt still runs."""
    return _held(claim).select_for_update(no_key=True).first()


def _held(claim: Analysis) -> QuerySet[Analysis]:
    """The claim's row, if its attempt still runs."""
    return Analysis.objects.filter(
        pk=claim.pk, state=Analysis.State.RUNNING, attempt=claim.attempt
    ).order_by()


def _finish(row: Analysis, state: Analysis.State) -> None:
    row.state = state
    row.leased_until = None
    row.finished_at = Now()
    row.save()


def _give_up(row: Analysis, kind: str, sentence: str) -> None:
    row.error_kind, row.error_sentence = kind, sentence
    _finish(row, Analysis.State.FAILED)
    _record(row, Action.ANALYSIS_FAILED, kind)


def _cancel(row: Analysis) -> None:
    _finish(row, Analysis.State.CANCELLED)
    _record(row, Action.ANALYSIS_CANCELLED, "ended_while_running")


def _requeue(row: Analysis, kind: str, pause: timedelta = timedelta()) -> None:
    row.state = Analysis.State.QUEUED
    row.leased_until = None
    row.not_before = Now() + pause
    row.save()
    _record(row, Action.ANALYSIS_REQUEUED, kind)


def _record(row: Analysis, action: Action, kind: str) -> None:
    record(
        clinic=row.clinic,
        action=action,
        actor=Actor(name=row.worker),
        target=row,
        study=row.study_id,
        detail={"attempt": row.attempt, "kind": kind},
    )


def _pause(attempt: int) -> timedelta:
    doublings = min(attempt - 1, 16)
    return min(FIRST_PAUSE * (1 << doublings), LONGEST_PAUSE)
