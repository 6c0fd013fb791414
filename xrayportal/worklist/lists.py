"""The lists that the worklist can be filtered to, and the orders that it can be in.

None tells a prediction to a reader who must not know it: their urgency is the waiting time alone, and
their order by part goes by what the sender stated.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, F, OrderBy, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from xrayportal.access import ClinicAccess, Permission
from xrayportal.reviews.blind import reads_blind
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Study, Submission
from xrayportal.worklist.marks import read_by
from xrayportal.worklist.models import Unopened

#: The tabs: code, word, and whether it needs sight of the readers' work.
LISTS: dict[str, tuple[Promise, bool]] = {
    "unread": (_("Unread"), False),
    "mine": (_("Mine"), False),
    "review": (_("Needs review"), True),
    "disagreements": (_("Disagreements"), True),
}
SORTS: dict[str, Promise] = {
    "": _("Newest first"),
    "urgency": _("Most urgent first"),
    "oldest": _("Oldest first"),
    "body_part": _("Body part"),
    "submission": _("Submission"),
}


class Phases:
    """Ids of several queries, one after the other: each comes sorted from an index of its own."""

    def __init__(self, *phases: QuerySet[Study, UUID]) -> None:
        self._phases = phases

    def count_to(self, limit: int) -> int:
        """How many all have together, counted to ``limit`` at most."""
        counted = 0
        for phase in self._phases:
            counted += phase.order_by()[: limit - counted].count()
            if counted == limit:
                break
        return counted

    def __getitem__(self, wanted: slice) -> list[UUID]:
        """The ids of a slice with both ends; a later query runs only where the slice reaches it."""
        skip, room = wanted.start or 0, wanted.stop - (wanted.start or 0)
        found: list[UUID] = []
        for phase in self._phases:
            part = list(phase[skip : skip + room])
            found += part
            room -= len(part)
            if not room:
                break
            # Past its end: what it has is skipped already.
            skip = 0 if part else max(0, skip - phase.order_by().count()) if skip else 0
        return found


def selected(access: ClinicAccess, code: str, studies: QuerySet[Study]) -> QuerySet[Study]:
    """The studies of one tab; an empty code is all."""
    match code:
        case "unread":
            return studies.filter(~read_by(access))
        case "mine":
            reviewed = Review.objects.filter(reader=access.user, clinic=access.clinic).values("study")
            sent = Submission.objects.filter(submitter=access.user, clinic=access.clinic).values("pk")
            return studies.filter(Q(pk__in=reviewed) | Q(submission__in=sent))
        case "review":
            signed = Consensus.objects.filter(study=OuterRef("pk")).exclude(state=Consensus.State.OPEN)
            return studies.filter(~Exists(signed), current__isnull=False)
        case "disagreements":
            open_ones = Consensus.objects.filter(clinic=access.clinic, state=Consensus.State.DISAGREED)
            return studies.filter(pk__in=open_ones.values("pk"))
        case _:
            return studies


def available(access: ClinicAccess) -> list[str]:
    """The codes of the tabs that this person gets."""
    return [
        code
        for code, (_word, is_for_readers) in LISTS.items()
        if not is_for_readers or access.may(Permission.SEE_ALL)
    ]


def ordered(access: ClinicAccess, studies: QuerySet[Study], sort: str) -> QuerySet[Study, UUID] | Phases:
    """The ids of the studies in this order, to be sliced and counted."""
    match sort:
        case "urgency":
            return _by_urgency(access, studies)
        case "oldest":
            return studies.order_by("created_at", "pk").values_list("pk", flat=True)
        case "body_part":
            body_part = "stated_body_part" if reads_blind(access) else "result_body_part"
            known, unknown = studies.exclude(**{body_part: ""}), studies.filter(**{body_part: ""})
            return Phases(
                known.order_by(body_part, "-created_at", "pk").values_list("pk", flat=True),
                unknown.order_by("-created_at", "pk").values_list("pk", flat=True),
            )
        case "submission":
            ordered = studies.filter(submission__clinic=access.clinic).order_by(
                "-submission__created_at", "submission", "created_at", "pk"
            )
            return ordered.values_list("pk", flat=True)
        case _:
            return studies.order_by("-created_at", "pk").values_list("pk", flat=True)


def _by_urgency(access: ClinicAccess, studies: QuerySet[Study]) -> Phases:
    """What waited too long, longest first; then by probability, unknown last."""
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
