"""What a person changes about their worklist: read marks, saved views, and the list to come back to."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from xrayportal.access import ClinicAccess, Permission
from xrayportal.clinics.models import Role
from xrayportal.studies.models import Study
from xrayportal.worklist.models import SavedView, StudyViewed, Unopened

#: Views that one person keeps in one clinic.
MOST_VIEWS = 20
LONGEST_NAME = 40
#: In an address a letter of another script takes nine characters or twelve.
LONGEST_QUERY = 500
#: The name of the row that remembers a list; no view can be saved under it.
_NAMELESS = ""


class TooManyViews(Exception):
    """Nothing was saved; ``str(error)`` is a sentence for the person."""


def save_view(*, access: ClinicAccess, name: str, query: str) -> SavedView:
    """Save filters under a name; the same name again replaces them. Raises `TooManyViews`."""
    own = SavedView.objects.filter(user=access.user, clinic=access.clinic).exclude(name=_NAMELESS)
    if own.exclude(name=name).count() >= MOST_VIEWS:
        raise TooManyViews(_("You have saved %(n)d filters. Remove one first.") % {"n": MOST_VIEWS})
    view, _is_new = SavedView.objects.update_or_create(
        user=access.user, clinic=access.clinic, name=name, defaults={"query": query}
    )
    return view


def remember_list(*, access: ClinicAccess, query: str) -> None:
    """Remember the list that this person looks at, to open with it the next time; one query.

    Does nothing for a superuser, who only looks, nor for a query that is longer than ``LONGEST_QUERY``.
    """
    if access.granted_until is not None or len(query) > LONGEST_QUERY:
        return
    SavedView.objects.bulk_create(
        [SavedView(user=access.user, clinic=access.clinic, name=_NAMELESS, query=query)],
        update_conflicts=True,
        unique_fields=["user", "clinic", "name"],
        update_fields=["query"],
    )


def mark_read(access: ClinicAccess, studies: Collection[uuid.UUID]) -> None:
    """Mark studies as read by this person; those that a reader has opened wait no longer.

    Two queries at most. Does nothing for a superuser, who only looks.
    """
    if access.granted_until is not None or not studies:
        return
    try:
        _mark(access, studies)
    except IntegrityError:  # one of them was deleted meanwhile
        _mark(access, Study.objects.filter(pk__in=studies).values_list("pk", flat=True))
    if access.may(Permission.REVIEW):
        Unopened.objects.filter(study__in=studies).delete()


def mark_unread(access: ClinicAccess, studies: Collection[uuid.UUID]) -> None:
    """Take read marks back; a study that no other reader has opened waits again, since it was sent."""
    try:
        _unmark(access, studies)
    except IntegrityError:  # one of them was deleted meanwhile
        _unmark(access, studies)


def _mark(access: ClinicAccess, studies: Iterable[uuid.UUID]) -> None:
    StudyViewed.objects.bulk_create(
        [StudyViewed(user=access.user, study_id=study) for study in studies], ignore_conflicts=True
    )


def _unmark(access: ClinicAccess, studies: Collection[uuid.UUID]) -> None:
    with transaction.atomic():
        StudyViewed.objects.filter(user=access.user, study__in=studies).delete()
        if not access.may(Permission.REVIEW):
            return
        others = StudyViewed.objects.filter(
            study=OuterRef("pk"), user__memberships__clinic=access.clinic, user__memberships__role=Role.READER
        )
        waiting = Study.objects.filter(~Exists(others), clinic=access.clinic, pk__in=studies)
        Unopened.objects.bulk_create(
            [Unopened(study=study, clinic=access.clinic, since=study.created_at) for study in waiting],
            ignore_conflicts=True,
        )
