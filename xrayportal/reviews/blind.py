"""Blind first: the one place that decides whether a person may know a study's prediction yet.

Where a clinic reads blind first, a reader learns nothing of a study's prediction before an opinion of
their own on it is stored. Every page, order, count, export and file that would reveal it asks here. People
who are not readers (an admin, an uploader with their own submissions) have no opinion to protect and see
all; an admin who also reads is a reader.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

from django.db.models import BooleanField, Exists, Min, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from xrayportal.access import GRANT_LASTS, ClinicAccess, Permission
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import Role
from xrayportal.reviews.models import Review
from xrayportal.studies.models import Study
from xrayportal.tokens.models import ApiToken, Scope


class Revealed(TypedDict):
    """What ``with_revealed`` adds to a study."""

    revealed: bool


if TYPE_CHECKING:  # for type checkers only
    from django_stubs_ext import WithAnnotations

    RevealedStudy = WithAnnotations[Study, Revealed]


def reads_blind(access: ClinicAccess) -> bool:
    """Whether predictions are kept from this person until they give an opinion."""
    return access.clinic.blind_first and access.may(Permission.REVIEW)


def reveals(access: ClinicAccess, study: Study) -> bool:
    """Whether the prediction of this study may be shown to this person; at most one query."""
    return not reads_blind(access) or Review.objects.filter(study=study, reader=access.user).exists()


def visible_predictions(access: ClinicAccess, studies: QuerySet[Study]) -> QuerySet[Study]:
    """Those of ``studies`` whose prediction this person may know: filter, order and count only over these."""
    return studies.filter(_opinion(access)) if reads_blind(access) else studies


def with_revealed(access: ClinicAccess, studies: QuerySet[Study]) -> QuerySet[RevealedStudy]:
    """The same studies, each with ``revealed``, for lists that show every row but hide some predictions."""
    if reads_blind(access):
        return studies.annotate(revealed=_opinion(access))
    return studies.annotate(revealed=Value(True, output_field=BooleanField()))


def is_blind(access: ClinicAccess, study: Study, analysis: Analysis | None) -> bool:
    """Whether an opinion that this person stores now is blind; at most five queries.

    ``analysis`` is the study's current result; without one every opinion is blind. An opinion is not blind
    if the person stored one before, or could ever know a result of this study, however old: a newer analysis
    of the same pictures makes nobody forget. So it counts from the study's first result on what they were
    shown (`_was_shown`), and when every page, export and file was open to them (`_was_open_to`).
    """
    if analysis is None:
        return True
    if not reads_blind(access) or reveals(access, study):
        return False
    succeeded = Analysis.objects.filter(study=study, state=Analysis.State.SUCCEEDED)
    first = succeeded.aggregate(at=Min(Coalesce("finished_at", "requested_at")))["at"]
    return not (_was_shown(access, study) or _was_open_to(access, first))


def _was_shown(access: ClinicAccess, study: Study) -> bool:
    """Whether an event says that this person got a result of the study: on a page, in a file, on paper."""
    shown = Q(action=Action.STUDY_VIEWED, detail__revealed=True)
    printed = Q(action=Action.EXPORTED)
    events = AuditEvent.objects.filter(study_id=study.pk, actor_id_text=str(access.user.pk))
    return events.filter(shown | printed).exists()


def _was_open_to(access: ClinicAccess, first: datetime) -> bool:
    """Whether predictions were open to this person at any time since ``first``, in lists and exports too.

    They were before the clinic turned blind reading on, while the person had a role here without being a
    reader, with a superuser's reason, and by a token of theirs that acts as somebody who does not read.
    """
    person = str(access.user.pk)
    turned_on = Q(action=Action.CLINIC_CHANGED, detail__blind_first=True, at__gt=first)
    # An event of a role keeps the roles held until then. None tells of the time after the last change, but
    # they are a reader now, so the time without that role was ended by a change.
    was_no_reader = Q(
        ~Q(detail__held__contains=[Role.READER.value]),
        action__in=[Action.MEMBER_ADDED, Action.MEMBER_REMOVED],
        target_kind="user",
        target_id=person,
        detail__held__0__isnull=False,
        at__gt=first,
    )
    was_superuser = Q(action=Action.CONTENT_ACCESS_GRANTED, actor_id_text=person, at__gt=first - GRANT_LASTS)
    events = AuditEvent.objects.filter(turned_on | was_no_reader | was_superuser, clinic=access.clinic)
    if events.exists():
        return True
    tokens = ApiToken.objects.filter(
        clinic=access.clinic,
        created_by=access.user,
        scopes__contains=[Scope.STUDIES_READ],
        expires_at__gt=first,
    )
    usable = Q(revoked_at__isnull=True) | Q(revoked_at__gt=first)
    return tokens.filter(usable).exclude(role__in=["", Role.READER]).exists()


def _opinion(access: ClinicAccess) -> Exists:
    return Exists(Review.objects.filter(study=OuterRef("pk"), reader=access.user))
