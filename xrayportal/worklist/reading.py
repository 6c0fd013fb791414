"""Reading sessions: going through a list study by study, in the order that it had at the start."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xrayportal.access import ClinicAccess
from xrayportal.reviews.models import Review
from xrayportal.worklist.models import ReadingSession

#: Studies of one session: more than anybody reads without a pause.
MOST = 500
#: Sessions that are kept of one person in one clinic: a tab that was left open may be gone on with.
_KEPT = 10
#: Studies whose pictures are fetched before they are asked for.
AHEAD = 2
#: Neighbours that are looked at; more than these in a row are not deleted within one session.
_REACH = 8


@dataclass(frozen=True)
class Place:
    """Where a study stands in a reading session; ``number`` counts from one."""

    session: ReadingSession
    number: int
    previous: uuid.UUID | None
    #: The next studies in order, at most ``AHEAD``.
    ahead: list[uuid.UUID]

    @property
    def total(self) -> int:
        """How many studies the session has."""
        return len(self.session.studies)

    @property
    def next(self) -> uuid.UUID | None:
        """The next study; None at the end."""
        return self.ahead[0] if self.ahead else None


@dataclass(frozen=True)
class Summary:
    """What became of a session: numbers of studies that this person signed, keeps as a draft, and left."""

    session: ReadingSession
    signed: int
    drafts: int
    #: Studies without an opinion of theirs, in order.
    skipped: list[uuid.UUID]


def begin_session(*, access: ClinicAccess, studies: Iterable[uuid.UUID], query: str) -> ReadingSession:
    """Start a session over ``studies``, in their order; ``query`` is the list that they are from."""
    session = ReadingSession.objects.create(
        user=access.user, clinic=access.clinic, studies=list(studies)[:MOST], query=query
    )
    own = ReadingSession.objects.filter(user=access.user, clinic=access.clinic)
    own.filter(pk__in=own.order_by("-started_at").values("pk")[_KEPT:]).delete()
    return session


def session_of(access: ClinicAccess, text: str | None) -> ReadingSession | None:
    """The person's own session with the id ``text``, as it stands in an address; one query at most."""
    try:
        pk = uuid.UUID(text or "")
    except ValueError:
        return None
    return ReadingSession.objects.filter(pk=pk, user=access.user, clinic=access.clinic).first()


def place_of(access: ClinicAccess, text: str | None, study: uuid.UUID) -> Place | None:
    """The place of a study in the session with the id ``text``; None if it is not in it. Two queries."""
    session = session_of(access, text)
    if session is None or study not in session.studies:
        return None
    at = session.studies.index(study)
    before, after = session.studies[max(0, at - _REACH) : at], session.studies[at + 1 : at + 1 + _REACH]
    there = set(access.studies().filter(pk__in=[*before, *after]).values_list("pk", flat=True))
    return Place(
        session=session,
        number=at + 1,
        previous=next((pk for pk in reversed(before) if pk in there), None),
        ahead=[pk for pk in after if pk in there][:AHEAD],
    )


def next_unsigned(access: ClinicAccess, session: ReadingSession, study: uuid.UUID) -> uuid.UUID | None:
    """The next study after ``study`` that this person has not signed, from the beginning again at the end.

    None when they have signed all that are still there; two queries.
    """
    studies: Sequence[uuid.UUID] = session.studies
    at = studies.index(study) if study in studies else -1
    open_ = _there(access, studies) - _signed(access, studies) - {study}
    return next((pk for pk in (*studies[at + 1 :], *studies[: at + 1]) if pk in open_), None)


def summary_of(access: ClinicAccess, session: ReadingSession) -> Summary:
    """What this person has done with the studies of the session; three queries."""
    there = _there(access, session.studies)
    signed = _signed(access, session.studies) & there
    own = Review.objects.filter(reader=access.user, is_current=True, study__in=there)
    drafts = set(own.values_list("study", flat=True)) - signed
    return Summary(
        session=session,
        signed=len(signed),
        drafts=len(drafts),
        skipped=[pk for pk in session.studies if pk in there - signed - drafts],
    )


def _there(access: ClinicAccess, studies: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of ``studies`` that this person may see and that were not deleted."""
    found: set[uuid.UUID] = set(access.studies().filter(pk__in=studies).values_list("pk", flat=True))
    return found


def _signed(access: ClinicAccess, studies: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of ``studies`` that this person has signed."""
    own = Review.objects.filter(
        reader=access.user, is_current=True, signed_at__isnull=False, study__in=studies
    )
    return set(own.values_list("study", flat=True))
