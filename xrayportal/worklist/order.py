"""The orders that the worklist can be in.

For a reader who reads blind no order goes by a prediction: their urgency is the sender's and the waiting
time, and their order by body part goes by what the sender stated.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from xrayportal.access import ClinicAccess
from xrayportal.analyses.latest import failures
from xrayportal.analyses.models import Verdict
from xrayportal.reviews.blind import reads_blind
from xrayportal.reviews.models import Consensus
from xrayportal.studies.models import Study
from xrayportal.worklist.models import Unopened

#: Code in the address → label.
ORDERS: dict[str, Promise] = {
    "": _("Newest first"),
    "urgency": _("Most urgent first"),
    "oldest": _("Oldest first"),
    "body_part": _("Body part"),
    "submission": _("Submission"),
}


class Phases:
    """Study ids of several queries, one query after the other; each comes sorted from an index of its own.

    ``studies`` are those of all queries together.
    """

    def __init__(self, studies: QuerySet[Study], *phases: QuerySet[Study, UUID]) -> None:
        self._studies = studies
        self._phases = phases

    def count_to(self, limit: int) -> int:
        """How many ids all queries have together, at most ``limit``; one query."""
        return self._studies.order_by()[:limit].count()

    def __getitem__(self, bounds: slice) -> list[UUID]:
        """The ids of a slice that has an end; a later query runs only where the slice reaches it."""
        skip, room = bounds.start or 0, bounds.stop - (bounds.start or 0)
        ids: list[UUID] = []
        for phase in self._phases:
            of_phase = list(phase[skip : skip + room])
            ids += of_phase
            room -= len(of_phase)
            if not room:
                break
            # A slice that begins after this phase skips fewer of the next one.
            skip = 0 if of_phase else max(0, skip - phase.order_by().count()) if skip else 0
        return ids


def ordered(access: ClinicAccess, studies: QuerySet[Study], sort: str) -> QuerySet[Study, UUID] | Phases:
    """The ids of ``studies`` in the order ``sort``, to be sliced and counted; newest first by default."""
    match sort:
        case "urgency":
            return _by_urgency(access, studies)
        case "oldest":
            return studies.order_by("created_at", "pk").values_list("pk", flat=True)
        case "body_part":
            body_part = "stated_body_part" if reads_blind(access) else "result_body_part"
            with_part, without = studies.exclude(**{body_part: ""}), studies.filter(**{body_part: ""})
            return Phases(
                studies,
                with_part.order_by(body_part, "-created_at", "pk").values_list("pk", flat=True),
                without.order_by("-created_at", "pk").values_list("pk", flat=True),
            )
        case "submission":
            ordered = studies.filter(submission__clinic=access.clinic).order_by(
                "-submission__created_at", "submission", "created_at", "pk"
            )
            return ordered.values_list("pk", flat=True)
        case _:
            return studies.order_by("-created_at", "pk").values_list("pk", flat=True)


def _by_urgency(access: ClinicAccess, studies: QuerySet[Study]) -> Phases:
    """What waited too long, then what the sender called urgent, then by what the model found.

    Studies that the model could not judge, failed and unsupported ones, stand above those that it calls
    normal: nobody has looked at them. For a reader who reads blind the longest waiting come first instead.
    """
    since = timezone.now() - timedelta(hours=settings.LONGEST_WAIT_HOURS)
    overdue = Unopened.objects.filter(clinic=access.clinic, since__lt=since)
    late = studies.filter(unopened__clinic=access.clinic, unopened__since__lt=since)
    in_time = studies.filter(~Exists(overdue.filter(study=OuterRef("pk"))))
    signed = Consensus.objects.filter(study=OuterRef("pk")).exclude(state=Consensus.State.OPEN)
    is_urgent = Q(priority__gt=0) & ~Q(Exists(signed))
    urgent, rest = in_time.filter(is_urgent), in_time.exclude(is_urgent)
    first = (late.order_by("unopened__since", "pk"), urgent.order_by("-priority", "created_at", "pk"))
    others = _by_waiting(access, rest, signed) if reads_blind(access) else _by_prediction(access, rest)
    return Phases(studies, *(phase.values_list("pk", flat=True) for phase in (*first, *others)))


def _by_waiting(
    access: ClinicAccess, studies: QuerySet[Study], signed: QuerySet[Consensus]
) -> list[QuerySet[Study]]:
    """Unopened ones, longest waiting first; then those that nobody has signed; signed ones newest first."""
    unopened = Q(unopened__clinic=access.clinic)
    opened = studies.exclude(unopened)
    return [
        studies.filter(unopened).order_by("unopened__since", "pk"),
        opened.filter(~Exists(signed)).order_by("created_at", "pk"),
        opened.filter(Exists(signed)).order_by("-created_at", "pk"),
    ]


def _by_prediction(access: ClinicAccess, studies: QuerySet[Study]) -> list[QuerySet[Study]]:
    """Suspected and uncertain ones by probability, failed and unsupported ones, normal ones, the others."""
    has_failed = Q(current__isnull=True, pk__in=failures(access.clinic))
    unjudged = Q(result_verdict=Verdict.UNSUPPORTED) | has_failed
    suspicious = Q(result_verdict__in=[Verdict.ABNORMAL, Verdict.UNCERTAIN])
    by_probability = (F("result_probability").desc(nulls_last=True), "-created_at")
    return [
        studies.filter(suspicious).order_by(*by_probability),
        studies.filter(unjudged).order_by("created_at", "pk"),
        studies.exclude(suspicious).exclude(unjudged).order_by(*by_probability),
    ]
