"""The rules of adjudication: who may settle a disagreement. Nothing is written here."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import QuerySet

from xrayportal.access import ClinicAccess, Permission
from xrayportal.clinics.models import Clinic, Role, User
from xrayportal.reviews.models import Consensus, Review

State = Consensus.State


def own_review(access: ClinicAccess, current: list[Review], *, adjudicates: bool) -> Review | None:
    """The person's own review among a study's ``current`` ones: their adjudication, or their reading."""
    for review in current:
        is_adjudication = review.kind == Review.Kind.ADJUDICATION
        if review.reader_id == access.user.pk and is_adjudication is adjudicates:
            return review
    return None


def clinic_readers(clinic: Clinic) -> QuerySet[User]:
    """The clinic's active readers, by name."""
    return User.objects.filter(
        is_active=True, memberships__clinic=clinic, memberships__role=Role.READER
    ).order_by("first_name", "last_name", "email")


def adjudicator_of(consensus: Consensus | None, readers: Collection[User] | None = None) -> User | None:
    """The person named to settle the study; None without one, or if they are a reader here no more.

    ``readers`` are those of ``clinic_readers``, for callers with many studies; without them this takes one
    query where a person is named.
    """
    if consensus is None or consensus.adjudicator is None:
        return None
    if readers is None:
        readers = clinic_readers(consensus.clinic)
    return consensus.adjudicator if consensus.adjudicator in readers else None


def may_adjudicate(
    access: ClinicAccess, consensus: Consensus | None, current: list[Review], *, adjudicator: User | None
) -> bool:
    """Whether this person may adjudicate the study whose current reviews these are.

    The person named by the admin may (``adjudicator``, from ``adjudicator_of``); if nobody is named, any
    reader who signed no reading. Only while signed readers disagree, or to supersede their own adjudication.
    """
    if consensus is None or not access.may(Permission.REVIEW):
        return False
    if adjudicator:
        is_open = consensus.state in (State.DISAGREED, State.ADJUDICATED)
        return is_open and adjudicator == access.user
    adjudication = own_review(access, current, adjudicates=True)
    if adjudication and adjudication.is_signed:
        return True
    reading = own_review(access, current, adjudicates=False)
    return consensus.state == State.DISAGREED and not (reading and reading.is_signed)
