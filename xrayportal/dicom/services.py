"""Changes of a clinic's DICOM settings, each audited."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.db import models, transaction
from django.db.models.functions import Now
from django.utils import timezone

from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic
from xrayportal.dicom.identifiers import erase
from xrayportal.dicom.models import Caller, Delivery, Destination, Listener, ReturnSettings
from xrayportal.encryption import encrypt

#: What the encryption of a destination's credentials is for.
CREDENTIALS = "dicom-destination"
MOST_TESTS_A_MINUTE = 6


class TooManyTestsError(Exception):
    """The clinic asked for ``MOST_TESTS_A_MINUTE`` tests of connections within the last minute."""


def add(row: Listener | Caller | Destination, *, actor: Actor, authorization: str = "") -> None:
    """Store a new AE title, caller or destination of its clinic; ``authorization`` is kept encrypted."""
    if isinstance(row, Destination) and authorization:
        row.credentials = encrypt(
            authorization.encode(), key=row.clinic.pseudonym_key, purpose=CREDENTIALS, row=str(row.pk)
        )
    with transaction.atomic():
        row.save(force_insert=True)
        _record(row.clinic, actor, row, {"added": str(row)})


def remove(row: Listener | Caller | Destination, *, actor: Actor) -> None:
    """Remove one. What a destination had still to get is not sent to it."""
    with transaction.atomic():
        # First: the node may hold a delivery to it, and wait for the chain's head with that.
        type(row)._default_manager.filter(pk=row.pk).delete()
        _record(row.clinic, actor, row, {"removed": str(row)})


def ask_for_test(destination: Destination, *, actor: Actor) -> None:
    """Have the node test a destination's connection. Raises `TooManyTestsError`."""
    clinic = destination.clinic
    with transaction.atomic():
        own = Destination.objects.select_for_update().filter(clinic=clinic)  # a clinic's tests take turns
        row = {row.pk: row for row in own}.get(destination.pk)
        since = timezone.now() - timedelta(minutes=1)
        tests = AuditEvent.objects.filter(clinic=clinic, action=Action.DICOM_TESTED, at__gt=since)
        if tests.count() >= MOST_TESTS_A_MINUTE:
            raise TooManyTestsError
        if row is None:  # removed meanwhile
            return
        row.test_asked_at, row.tested_at, row.test_outcome, row.test_code = timezone.now(), None, "", ""
        row.save(update_fields=["test_asked_at", "tested_at", "test_outcome", "test_code"])
        detail = {"destination": str(row)}
        record(clinic=clinic, action=Action.DICOM_TESTED, actor=actor, target=row, detail=detail)


def change_returns(settings: ReturnSettings, *, actor: Actor, changed: Collection[str]) -> None:
    """Store what is sent back and when. "Never" erases all identifiers and withdraws what waits."""
    clinic = settings.clinic
    with transaction.atomic():
        settings.save()
        detail: dict[str, Any] = {name: getattr(settings, name) for name in sorted(changed)}
        if settings.when == ReturnSettings.When.NEVER:
            detail["erased"] = erase(clinic)
            Delivery.objects.unfinished().filter(clinic=clinic).update(
                state=Delivery.State.WITHDRAWN, leased_until=None, finished_at=Now()
            )
        _record(clinic, actor, clinic, detail)


def _record(clinic: Clinic, actor: Actor, target: models.Model, detail: dict[str, Any]) -> None:
    record(clinic=clinic, action=Action.DICOM_CHANGED, actor=actor, target=target, detail=detail)
