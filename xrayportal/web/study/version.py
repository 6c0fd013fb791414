"""The version of a study's result: what its page sends back when it asks whether anything has changed."""

from __future__ import annotations

import uuid
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db.models import F, FilteredRelation, Q, QuerySet
from django.http import Http404

from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Analysis
from xrayportal.clinics.models import Clinic, User
from xrayportal.prepared import Prepared
from xrayportal.reviews.blind import with_revealed
from xrayportal.studies.models import Study
from xrayportal.web.shared import polling
from xrayportal.web.shared.polling import Version

if TYPE_CHECKING:
    from xrayportal.reviews.blind import RevealedStudy

#: While a study waits, its place in the line is shown anew this often.
PLACE_SECONDS = 5
#: What the version holds of the newest analysis.
_NEWEST = ("newest__id", "newest__state", "newest__cancel_requested")


def polled_version(access: ClinicAccess, pk: uuid.UUID) -> Version:
    """``version_of`` without loading the study: all that an idle poll asks. Http404 as ``study_or_404``."""
    rows = _polled(access.roles, access.clinic.blind_first).rows(
        study=pk, clinic=access.clinic.pk, user=access.user.pk
    )
    if not rows:
        raise Http404("Not found.")
    return _version(*rows[0])


@cache
def _polled(roles: frozenset[str], blind_first: bool) -> Prepared:
    """What an idle poll asks, for people of these roles."""

    def build(study: uuid.UUID, clinic: uuid.UUID, user: int) -> QuerySet[Study, tuple[Any, ...]]:
        access = ClinicAccess(User(pk=user), Clinic(pk=clinic, blind_first=blind_first), roles)
        newest = FilteredRelation("analyses", condition=Q(analyses__purpose=Analysis.Purpose.PRIMARY))
        studies = with_revealed(access, access.studies().filter(pk=study)).annotate(newest=newest)
        studies = studies.order_by(F("newest__requested_at").desc(nulls_last=True))
        return studies.values_list("state", "submission__state", *_NEWEST, "revealed")[:1]

    # Who sees all, and reads nothing blind, is nowhere in the query.
    return Prepared(build, study=uuid.uuid4(), clinic=uuid.uuid4(), user=-1, unused={"user"})


def version_of(study: RevealedStudy, newest: Analysis | None) -> Version:
    """The version of the result, for the address of the next poll; ``newest`` is the primary analysis."""
    return _version(
        study.state,
        study.submission.state,
        newest.pk if newest else None,
        newest.state if newest else None,
        newest.cancel_requested if newest else None,
        study.revealed,
    )


def _version(
    state: str,
    submission: str,
    newest: uuid.UUID | None,
    newest_state: str | None,
    cancel_requested: bool | None,
    revealed: bool,
) -> Version:
    """Has a clock while the study waits, because its place in the line changes without any event of it."""
    is_waiting = newest_state == Analysis.State.QUEUED
    clock = polling.clock_every(PLACE_SECONDS) if is_waiting else ""
    values = (state, submission, newest, newest_state, bool(cancel_requested), revealed)
    return Version.of_values(*values, clock=clock)
