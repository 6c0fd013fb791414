"""Read marks: set by opening a study or by hand, and taken back."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef

from xrayportal.access import Permit, Seat
from xrayportal.clinics.models import Role
from xrayportal.studies.models import Study
from xrayportal.worklist.models import StudyRead, Unopened


def read_by(seat: Seat) -> Exists:
    """Whether the person has read the study, as an annotation or a condition on studies."""
    return Exists(StudyRead.objects.filter(user=seat.user, study=OuterRef("pk")))


def mark_read(seat: Seat, studies: Collection[uuid.UUID]) -> None:
    """Theirs from now on; what a reader has opened waits for nobody any more. Two queries at most.

    A superuser's look is no reading.
    """
    if seat.granted_until is not None or not studies:
        return
    try:
        _mark(seat, studies)
    except IntegrityError:  # one of them was deleted meanwhile
        _mark(seat, Study.objects.filter(pk__in=studies).values_list("pk", flat=True))
    if seat.may(Permit.REVIEW):
        Unopened.objects.filter(study__in=studies).delete()


def mark_unread(seat: Seat, studies: Collection[uuid.UUID]) -> None:
    """Take the marks back; a study that no other reader has opened waits again, since it came."""
    try:
        _unmark(seat, studies)
    except IntegrityError:  # one of them was deleted meanwhile
        _unmark(seat, studies)


def _mark(seat: Seat, studies: Iterable[uuid.UUID]) -> None:
    StudyRead.objects.bulk_create(
        [StudyRead(user=seat.user, study_id=study) for study in studies], ignore_conflicts=True
    )


def _unmark(seat: Seat, studies: Collection[uuid.UUID]) -> None:
    with transaction.atomic():
        StudyRead.objects.filter(user=seat.user, study__in=studies).delete()
        if not seat.may(Permit.REVIEW):
            return
        others = StudyRead.objects.filter(
            study=OuterRef("pk"), user__memberships__clinic=seat.clinic, user__memberships__role=Role.READER
        )
        waiting = Study.objects.filter(~Exists(others), clinic=seat.clinic, pk__in=studies)
        Unopened.objects.bulk_create(
            [Unopened(study=study, clinic=seat.clinic, since=study.created_at) for study in waiting],
            ignore_conflicts=True,
        )
