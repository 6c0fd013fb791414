"""The orders that the worklist can be in.

For a reader who reads blind no order goes by a prediction: their urgency is the waiting time alone, and
their order by body part goes by what the sender stated.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, F, OrderBy, OuterRef, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from xrayportal.access import ClinicAccess
from xrayportal.reviews.blind import reads_blind
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
    """Study ids of several queries, one query after the other; each comes sorted from an index of its own."""

    def __init__(self, *phases: QuerySet[Study, UUID]) -> None:
        self._phases = phases

    def count_to(self, limit: int) -> int:
        """How many ids all queries have together, at most ``limit``."""
        counted = 0
        for phase in self._phases:
            counted += phase.order_by()[: limit - counted].count()
            if counted == limit:
                break
        return counted

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
    """What waited too long, longest first; then the rest by probability, without one last."""
    since = timezone.now() - timedelta(hours=settings.LONGEST_WAIT_HOURS)
    overdue = Unopened.objects.filter(clinic=access.clinic, since__lt=since)
    late = studies.filter(unopened__clinic=access.clinic, unopened__since__lt=since)
    rest = studies.filter(~Exists(overdue.filter(study=OuterRef("pk"))))
    order: list[str | OrderBy] = ["-created_at"]
    if not reads_blind(access):
        order.insert(0, F("result_probability").desc(nulls_last=True))
    return Phases(
        late.order_by("unopened__since", "pk").values_list("pk", flat=True),
        rest.order_by(*order).values_list("pk", flat=True),
    )
