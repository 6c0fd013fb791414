"""The history of one study: its analyses, and who did what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q

from xrayportal.access import ClinicAccess, Permission
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import AuditEvent

if TYPE_CHECKING:
    from xrayportal.reviews.blind import RevealedStudy

EVENTS_SHOWN = 200


@dataclass(frozen=True)
class History:
    """The context of ``study/_history.html``."""

    analyses: list[Analysis]
    events: list[AuditEvent]
    revealed: bool
    shows_events: bool
    has_more: bool


def history_of(access: ClinicAccess, study: RevealedStudy) -> History:
    """The study's analyses, newest first, and its audit events for people who see all studies; two queries.

    Three where the prediction is hidden. Analyses with a corrected body part are left out then: they would
    reveal that the predicted one was another.
    """
    revealed: bool = study.revealed
    shows_events = access.may(Permission.SEE_ALL)
    analyses = study.analyses.primary().select_related("bundle", "requested_by")
    events = AuditEvent.objects.filter(study_id=study.pk, clinic=access.clinic).order_by("-number")
    if not revealed:
        own = Q(forced_body_part__in=["", study.stated_body_part])
        corrected = [str(pk) for pk in study.analyses.exclude(own).values_list("pk", flat=True)]
        analyses, events = analyses.filter(own), events.exclude(target_id__in=corrected)
    newest_events = list(events[: EVENTS_SHOWN + 1]) if shows_events else []
    return History(
        analyses=list(analyses.order_by("-requested_at")),
        events=newest_events[:EVENTS_SHOWN],
        revealed=revealed,
        shows_events=shows_events,
        has_more=len(newest_events) > EVENTS_SHOWN,
    )
