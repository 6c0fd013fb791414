"""Who may settle a disagreement: rules that read and write nothing."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import QuerySet

from xrayportal.access import ClinicAccess, Permission
from xrayportal.clinics.models import Clinic, Role, User
from xrayportal.reviews.models import Consensus, Review

State = Consensus.State


def own_review(access: ClinicAccess, current: list[Review], *, adjudicates: bool) -> Review | None:
    """The person's own current review: their reading, or their adjudication."""
    return next(
        (
            r
            for r in current
            if r.reader_id == access.user.pk and (r.kind == Review.Kind.ADJUDICATION) is adjudicates
        ),
        None,
    )


def clinic_readers(clinic: Clinic) -> QuerySet[User]:
    """Active readers of the clinic, for the admin to name one."""
    return User.objects.filter(
        is_active=True, memberships__clinic=clinic, memberships__role=Role.READER
    ).order_by("first_name", "last_name", "email")


def adjudicator_of(consensus: Consensus | None, readers: Collection[User] | None = None) -> User | None:
    """Who was named to settle it, as long as they read in the clinic: else it would wait for nobody.

    ``readers`` are ``clinic_readers``, for whoever asks about many; without it one query where one is named.
    """
    if consensus is None or consensus.adjudicator is None:
        return None
    known = clinic_readers(consensus.clinic) if readers is None else readers
    return consensus.adjudicator if consensus.adjudicator in known else None


def may_adjudicate(
    access: ClinicAccess, consensus: Consensus | None, current: list[Review], *, adjudicator: User | None
) -> bool:
    """Whether this person may adjudicate: one named by the admin, else any reader who signed no reading.

    Only where signed readers disagree, or to supersede their own adjudication. ``adjudicator`` is of
    ``adjudicator_of``.
    """
    if consensus is None or not access.may(Permission.REVIEW):
        return False
    if adjudicator:
        is_open = consensus.state in (State.DISAGREED, State.ADJUDICATED)
        return is_open and adjudicator == access.user
    adjudicated = own_review(access, current, adjudicates=True)
    if adjudicated and adjudicated.is_signed:
        return True
    own = own_review(access, current, adjudicates=False)
    return consensus.state == State.DISAGREED and not (own and own.is_signed)
