"""Deliveries: which results are due to be sent back, and the steps of each until it has arrived.

Rows in PostgreSQL are the queue, as for analyses: a node that dies leaves its lease to run out, and another
attempt sends the same objects again, which have the same UIDs.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict

from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import PORTAL, Actor
from xrayportal.dicom.models import Delivery, Destination, ReturnSettings, StudyReturn
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Study


class Signed(TypedDict):
    """What `sendable` adds to a row."""

    now_signed: str


if TYPE_CHECKING:  # for type checkers only
    from django_stubs_ext import WithAnnotations

    SendableReturn = WithAnnotations[StudyReturn, Signed]

#: A sender that is silent for so long is dead; sending one study takes seconds.
LEASE = timedelta(minutes=10)
#: Pauses after the first, second, … failed attempt; then the last one again and again.
PAUSES = (
    timedelta(seconds=15),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
)
#: A destination that is away for longer than this is given up; a person can ask again.
GIVE_UP_AFTER = timedelta(days=7)
_PER_ROUND = 100
_AGREED = (Consensus.State.AGREED, Consensus.State.ADJUDICATED)


def pass_on(*, limit: int = _PER_ROUND) -> int:
    """Make deliveries of the results that are due; returns of how many studies."""
    due = list(_due()[:limit])
    for row in due:
        _pass_on(row)
    return len(due)


def sendable() -> QuerySet[SendableReturn]:
    """Studies whose present result may leave: complete, and signed where the clinic asks for that.

    ``now_signed`` is the verdict that the readers agree on; empty without one, and where they signed before
    the last image came. A clinic that reads blind sends nothing before its readers have agreed, whatever it
    chose: a reader could see the prediction in the archive.
    """
    settings = ReturnSettings.objects.filter(clinic=OuterRef("clinic"))
    unfinished = Analysis.objects.primary().unfinished().filter(study=OuterRef("study"))
    of_all_images = Review.objects.filter(
        study=OuterRef("study"), is_current=True, signed_at__gte=OuterRef("study__sealed_at")
    )
    signed = Q(Exists(of_all_images), study__consensus__state__in=_AGREED)
    now_signed = Case(When(signed, then=F("study__consensus__verdict")), default=Value(""))
    without_signature = Q(Exists(settings.filter(when=ReturnSettings.When.FINAL)), clinic__blind_first=False)
    with_signature = ~Q(now_signed="") & Exists(settings.exclude(when=ReturnSettings.When.NEVER))
    return (
        StudyReturn.objects.annotate(now_signed=now_signed)
        .filter(
            without_signature | with_signature,
            ~Exists(unfinished),
            expires_at__gt=Now(),
            study__state=Study.State.SEALED,
            study__current__isnull=False,
        )
        .select_related("study")
    )


def needs_signature(settings: ReturnSettings) -> bool:
    """Whether the clinic's results wait for its readers, by the rule of `sendable`."""
    return settings.when == ReturnSettings.When.SIGNED or settings.clinic.blind_first


def claim(*, without: Collection[uuid.UUID] = ()) -> Delivery | None:
    """Take the delivery that has waited longest, but of the destinations ``without``; None if none is due."""
    with transaction.atomic():
        waits = Q(state=Delivery.State.WAITING, not_before__lte=Now())
        died = Q(state=Delivery.State.SENDING, leased_until__lt=Now())
        row = (
            Delivery.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(waits | died)
            .exclude(destination__in=without)
            .order_by("not_before")
            .select_related("destination", "study__clinic", "analysis__bundle", "analysis__clinic")
            .first()
        )
        if row is None:
            return None
        row.state, row.attempts = Delivery.State.SENDING, row.attempts + 1
        row.leased_until = timezone.now() + LEASE
        row.save(update_fields=["state", "attempts", "leased_until"])
    return row


def complete(delivery: Delivery, *, objects: int) -> None:
    """Note that everything arrived."""
    with transaction.atomic():
        row = _locked(delivery)
        if row is None:
            return
        row.state, row.finished_at, row.leased_until = Delivery.State.SENT, timezone.now(), None
        row.objects_sent, row.error_kind, row.error_code = objects, "", ""
        row.save()
        _record(row, Action.RESULT_SENT, PORTAL)


def fail(delivery: Delivery, *, kind: str, code: str = "", permanent: bool = False) -> None:
    """Note a failed attempt: it is tried again with longer and longer pauses, for days."""
    with transaction.atomic():
        row = _locked(delivery)
        if row is None:
            return
        row.leased_until, row.error_kind, row.error_code = None, kind, code[:40]
        if permanent or timezone.now() > row.created_at + GIVE_UP_AFTER:
            row.state, row.finished_at = Delivery.State.FAILED, timezone.now()
            row.save()
            _record(row, Action.RESULT_NOT_SENT, PORTAL)
            return
        row.state = Delivery.State.WAITING
        row.not_before = timezone.now() + PAUSES[min(row.attempts, len(PAUSES)) - 1]
        row.save()


def postpone(delivery: Delivery) -> None:
    """Wait: its result may not leave just now, because an image came late, say. No attempt is counted."""
    with transaction.atomic():
        row = _locked(delivery)
        if row is not None:
            row.state, row.leased_until, row.attempts = Delivery.State.WAITING, None, row.attempts - 1
            row.not_before = timezone.now() + timedelta(minutes=1)
            row.save()


def withdraw(delivery: Delivery) -> None:
    """Send it no more: what it holds may not leave now. A later result makes a delivery of its own."""
    Delivery.objects.unfinished().filter(pk=delivery.pk).update(
        state=Delivery.State.WITHDRAWN, leased_until=None, finished_at=Now()
    )


def retry(delivery: Delivery, *, actor: Actor) -> None:
    """Send it now: a person asked. One that is being sent is left alone."""
    with transaction.atomic():
        row = Delivery.objects.select_for_update().filter(pk=delivery.pk).first()
        if row is None or row.state == Delivery.State.SENDING:
            return
        row.state, row.not_before, row.finished_at = Delivery.State.WAITING, timezone.now(), None
        row.attempts, row.created_at = 0, timezone.now()
        row.save()
        _record(row, Action.RESULT_RETRIED, actor)


def _due() -> QuerySet[SendableReturn]:
    """Studies with a result that was not passed on, or with another signed verdict since."""
    destinations = Destination.objects.filter(clinic=OuterRef("clinic"))
    is_new = Q(analysis__isnull=True) | ~Q(analysis=F("study__current")) | ~Q(signed_verdict=F("now_signed"))
    return sendable().filter(is_new, Exists(destinations)).order_by("expires_at")


@transaction.atomic
def _pass_on(due: SendableReturn) -> None:
    """Make a delivery to each destination, in place of earlier ones that did not arrive."""
    row = StudyReturn.objects.select_for_update().filter(pk=due.pk).first()
    analysis = due.study.current
    if row is None or analysis is None:
        return
    Delivery.objects.unfinished().filter(study=row.study_id).update(
        state=Delivery.State.WITHDRAWN, leased_until=None, finished_at=Now()
    )
    Delivery.objects.bulk_create(
        [
            Delivery(
                clinic_id=row.clinic_id,
                study_id=row.study_id,
                destination=destination,
                analysis=analysis,
                signed_verdict=due.now_signed,
            )
            for destination in Destination.objects.filter(clinic=row.clinic_id)
        ],
        ignore_conflicts=True,
    )
    row.analysis, row.signed_verdict = analysis, due.now_signed
    row.save(update_fields=["analysis", "signed_verdict"])


def _locked(delivery: Delivery) -> Delivery | None:
    """The delivery's row, locked, if this attempt is still the one that counts."""
    return (
        Delivery.objects.select_for_update(of=("self",))
        .filter(pk=delivery.pk, state=Delivery.State.SENDING, attempts=delivery.attempts)
        .first()
    )


def _record(row: Delivery, action: Action, actor: Actor) -> None:
    detail = {"destination": str(row.destination_id), "attempts": row.attempts, "objects": row.objects_sent}
    record(
        clinic=row.clinic,
        action=action,
        actor=actor,
        target=row,
        study=row.study_id,
        detail=detail | ({"kind": row.error_kind, "code": row.error_code} if row.error_kind else {}),
    )
