"""Blind first, the one place that decides: may this person know this study's prediction yet?

Where a clinic reads blind first, a reader learns nothing of a study's prediction before an opinion of
their own on it is stored. Every page, order, count, export and file that would tell asks here. Who
is no reader (an admin, an uploader with their own submissions) has no opinion to protect and sees
all; an admin who also reads is a reader.
"""

from __future__ import annotations

from django.db.models import BooleanField, Exists, OuterRef, Q, QuerySet, Value

from xrayportal.access import Permit, Seat
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import Role
from xrayportal.reviews.models import Review
from xrayportal.studies.models import Study


def reads_blind(seat: Seat) -> bool:
    """Whether predictions are kept from this person until they give an opinion."""
    return seat.clinic.blind_first and seat.may(Permit.REVIEW)


def reveals(seat: Seat, study: Study) -> bool:
    """Whether the prediction of this study may be shown to this person; at most one query."""
    return not reads_blind(seat) or Review.objects.filter(study=study, reader=seat.user).exists()


def visible_predictions(seat: Seat, studies: QuerySet[Study]) -> QuerySet[Study]:
    """The studies whose prediction may be shown: filter, order and count predictions over these only."""
    return studies.filter(_opinion(seat)) if reads_blind(seat) else studies


def with_revealed(seat: Seat, studies: QuerySet[Study]) -> QuerySet[Study]:
    """The same studies, each with ``revealed``: for lists that show a row but hide its prediction."""
    if reads_blind(seat):
        return studies.annotate(revealed=_opinion(seat))
    return studies.annotate(revealed=Value(True, output_field=BooleanField()))


def is_blind(seat: Seat, study: Study, analysis: Analysis | None) -> bool:
    """Whether an opinion that this person stores now is blind; at most three queries.

    It is while there is no result at all. It is not once they stored one before, once a page showed
    them the result (their own event ``study-viewed`` with ``revealed`` in its detail), or when the
    result was there before the clinic turned blind reading on, or while they had a role here without
    being a reader, even if they left between, because lists showed it then.
    ``analysis`` is the study's current result.
    """
    if analysis is None:
        return True
    if not reads_blind(seat) or reveals(seat, study):
        return False
    seen = AuditEvent.objects.filter(
        study_id=study.pk,
        action=Action.STUDY_VIEWED,
        actor_id_text=str(seat.user.pk),
        detail__revealed=True,
    )
    if seen.exists():
        return False
    turned_on = Q(action=Action.CLINIC_CHANGED, detail__blind_first=True)
    # What they held until a change of their roles: no event tells of the time after the last change, but they
    # read now, so a change ended it.
    no_reader = Q(
        ~Q(detail__held__contains=[Role.READER.value]),
        action__in=[Action.MEMBER_ADDED, Action.MEMBER_REMOVED],
        target_kind="user",
        target_id=str(seat.user.pk),
        detail__held__0__isnull=False,
    )
    return not AuditEvent.objects.filter(
        turned_on | no_reader, clinic=seat.clinic, at__gt=analysis.finished_at or analysis.requested_at
    ).exists()


def _opinion(seat: Seat) -> Exists:
    return Exists(Review.objects.filter(study=OuterRef("pk"), reader=seat.user))
