"""The progress of a submission: the counts of its files and studies, and the time left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext

from xrayportal.access import ClinicAccess
from xrayportal.analyses.latest import latest_state
from xrayportal.analyses.models import Analysis
from xrayportal.analyses.outcomes import OUTCOMES, outcome_expression
from xrayportal.analyses.queue.waiting import waiting_position
from xrayportal.reviews.blind import with_revealed
from xrayportal.studies.models import Study, Submission, Upload
from xrayportal.words.figures import format_duration, format_duration_range, ordinal


@dataclass(frozen=True)
class Progress:
    """Counts of one submission. ``left`` says how long it will take; empty when unknown."""

    submission: Submission
    accepted: int
    duplicate: int
    rejected: int
    applied: int
    studies: int
    done: int
    failed: int
    cancelled: int
    #: Numbers of studies by outcome, of those whose prediction this person may know, and of all others.
    verdicts: dict[str, int] = field(default_factory=dict)
    hidden: int = 0
    left: str = ""
    #: Where the last one stands in the queue; 0 when nothing waits.
    position: int = 0

    @property
    def place(self) -> str:
        """The place of the last waiting study in words: ``34th``; empty when nothing waits."""
        return ordinal(self.position) if self.position else ""

    @property
    def received(self) -> int:
        """The number of files that came."""
        return self.accepted + self.duplicate + self.rejected + self.applied

    @property
    def expected(self) -> int:
        """The number of files that the sender announced, or that came if these are more."""
        return max(self.submission.expected_files, self.received)

    @property
    def settled(self) -> int:
        """The number of studies that are done, failed or cancelled."""
        return self.done + self.failed + self.cancelled

    @property
    def is_receiving(self) -> bool:
        """Whether files may still come."""
        return self.submission.is_open

    @property
    def is_final(self) -> bool:
        """Whether nothing of it will change without anybody's doing any more."""
        return not self.is_receiving and self.settled >= self.studies


def progress_of(submission: Submission, access: ClinicAccess | None = None) -> Progress:
    """Counts and time left of one submission; six queries at most.

    Verdicts are counted only with ``access``, and only those that this person may know.
    """
    files = submission.uploads.order_by().aggregate(
        **{outcome: Count("pk", filter=Q(outcome=outcome)) for outcome in Upload.Outcome.values}
    )
    studies = submission.studies.order_by().annotate(newest=latest_state())
    by_state = studies.aggregate(
        studies=Count("pk"),
        done=Count("pk", filter=Q(newest="succeeded")),
        failed=Count("pk", filter=Q(newest="failed")),
        cancelled=Count("pk", filter=Q(newest="cancelled")),
    )
    verdicts, hidden = _verdicts(submission, access) if access else ({}, 0)
    return Progress(
        submission=submission, **files, **by_state, verdicts=verdicts, hidden=hidden, **_left(submission)
    )


def failed_studies(submission: Submission) -> QuerySet[Study]:
    """The studies whose newest analysis failed, for the retry button."""
    return submission.studies.annotate(newest=latest_state()).filter(newest=Analysis.State.FAILED)


def _verdicts(submission: Submission, access: ClinicAccess) -> tuple[dict[str, int], int]:
    """The numbers of studies by outcome, and of studies whose verdict this person may not know."""
    results = submission.studies.filter(current__isnull=False).order_by()
    studies: QuerySet[Any] = with_revealed(access, results)
    rows = studies.values_list("revealed", outcome_expression("result_")).annotate(n=Count("pk"))
    counts, hidden = dict.fromkeys(OUTCOMES, 0), 0
    for revealed, verdict, number in rows:
        if revealed:
            counts[verdict] += number
        else:
            hidden += number
    return {verdict: number for verdict, number in counts.items() if number}, hidden


def _left(submission: Submission) -> dict[str, Any]:
    """The fields of ``Progress`` about the last waiting study; none when nothing waits."""
    last = (
        Analysis.objects.primary()
        .filter(study__submission=submission, state=Analysis.State.QUEUED)
        .order_by("priority", "-requested_at")
        .first()
    )
    if last is None:
        return {}
    waiting = waiting_position(last)
    if not waiting.has_worker:
        return {"left": gettext("No worker is running; the studies wait"), "position": waiting.position}
    if waiting.is_held_up:
        return {
            "left": gettext("A study takes unusually long; the others wait"),
            "position": waiting.position,
        }
    if waiting.seconds is None or waiting.seconds_slow is None:
        return {"position": waiting.position}
    return {"left": _time_left(waiting.seconds, waiting.seconds_slow), "position": waiting.position}


def _time_left(quick: float, slow: float) -> str:
    """``20 to 35 s left``, or ``About 20 s left`` where the slow case rounds to the same."""
    span = format_duration_range(quick, slow)
    words = gettext("About %(left)s left") if span == format_duration(quick) else gettext("%(left)s left")
    return words % {"left": span}
