"""Blind first: the one place that decides whether a person may know a study's prediction yet.

Where a clinic reads blind first, a reader learns nothing of a study's prediction before an opinion of
their own on it is stored. Every page, order, count, export and file that would reveal it asks here. People
who are not readers (an admin, an uploader with their own submissions) have no opinion to protect and see
all; an admin who also reads is a reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from django.db.models import BooleanField, Exists, OuterRef, Q, QuerySet, Value

from xrayportal.access import ClinicAccess, Permission
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import Role
from xrayportal.reviews.models import Review
from xrayportal.studies.models import Study


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
    """Whether an opinion that this person stores now is blind; at most three queries.

    ``analysis`` is the study's current result; without one every opinion is blind. An opinion is not blind
    if the person stored one before, if a page showed them the result (their own event ``study-viewed`` with
    ``revealed`` in its detail), or if the result was there before the clinic turned blind reading on, or
    while the person had a role here without being a reader, because lists showed it then.
    """
    if analysis is None:
        return True
    if not reads_blind(access) or reveals(access, study):
        return False
    looks = AuditEvent.objects.filter(
        study_id=study.pk,
        action=Action.STUDY_VIEWED,
        actor_id_text=str(access.user.pk),
        detail__revealed=True,
    )
    if looks.exists():
        return False
    turned_on = Q(action=Action.CLINIC_CHANGED, detail__blind_first=True)
    # An event of a role keeps the roles held until then. None tells of the time after the last change, but
    # they are a reader now, so the time without that role was ended by a change.
    was_no_reader = Q(
        ~Q(detail__held__contains=[Role.READER.value]),
        action__in=[Action.MEMBER_ADDED, Action.MEMBER_REMOVED],
        target_kind="user",
        target_id=str(access.user.pk),
        detail__held__0__isnull=False,
    )
    return not AuditEvent.objects.filter(
        turned_on | was_no_reader, clinic=access.clinic, at__gt=analysis.finished_at or analysis.requested_at
    ).exists()


def _opinion(access: ClinicAccess) -> Exists:
    return Exists(Review.objects.filter(study=OuterRef("pk"), reader=access.user))
