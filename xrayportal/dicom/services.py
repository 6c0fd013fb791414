"""Changes of a clinic's DICOM settings, each audited."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import models, transaction
from django.db.models.functions import Now

from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic
from xrayportal.dicom.identifiers import erase
from xrayportal.dicom.models import Caller, Delivery, Destination, Listener, ReturnSettings
from xrayportal.encryption import encrypt

#: What the encryption of a destination's credentials is for.
CREDENTIALS = "dicom-destination"


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
        detail = {"removed": str(row)}
        _record(row.clinic, actor, row, detail)
        row.delete()


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
