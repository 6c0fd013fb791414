"""Adding, pausing, removing and trying webhooks; all but the trying is audited in the clinic's chain."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from xrayportal.audit.models import Action, AuditHead
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic
from xrayportal.encryption import decrypt, encrypt
from xrayportal.webhooks.addresses import check_url
from xrayportal.webhooks.models import Delivery, Endpoint

_PURPOSE = "webhooks"
TEST = "test"
#: Webhooks that a clinic may have: each makes every event one more message.
MOST = 20


class TooManyWebhooksError(Exception):
    """The clinic has ``MOST`` webhooks already."""


def add_endpoint(*, clinic: Clinic, actor: Actor, url: str, events: Collection[str]) -> tuple[Endpoint, str]:
    """Add a webhook that is told what happens from now on; returns it with its secret, shown only now.

    Raises `NotPermittedError` for an address of a wrong form (where it leads is judged at each delivery), and
    `TooManyWebhooksError`.
    """
    check_url(url)
    key = secrets.token_bytes(32)
    endpoint = Endpoint(clinic=clinic, url=url, events=sorted(set(events)), created_by=actor.user)
    endpoint.secret = encrypt(key, key=clinic.pseudonym_key, purpose=_PURPOSE, row=str(endpoint.pk))
    with transaction.atomic():
        Clinic.objects.select_for_update(no_key=True).get(pk=clinic.pk)  # two at once are counted in turn
        if Endpoint.objects.filter(clinic=clinic).count() >= MOST:
            raise TooManyWebhooksError
        endpoint.save(force_insert=True)
        event = record(
            clinic=clinic,
            action=Action.WEBHOOK_ADDED,
            actor=actor,
            target=endpoint,
            detail={"events": endpoint.events},
        )
        endpoint.position = event.number
        endpoint.save(update_fields=["position"])
    return endpoint, f"whsec_{base64.b64encode(key).decode()}"


def remove_endpoint(*, endpoint: Endpoint, actor: Actor) -> None:
    """Remove a webhook with its log."""
    with transaction.atomic():
        Endpoint.objects.filter(pk=endpoint.pk).delete()
        record(clinic=endpoint.clinic, action=Action.WEBHOOK_REMOVED, actor=actor, target=endpoint)


def set_active(*, endpoint: Endpoint, is_active: bool, actor: Actor) -> None:
    """Pause a webhook, or go on with it: what happened while it was paused is not told."""
    with transaction.atomic():
        locked = (
            Endpoint.objects.select_for_update(of=("self",))
            .select_related("clinic")
            .filter(pk=endpoint.pk)
            .first()
        )
        if locked is None or locked.is_active is is_active:
            return
        head = AuditHead.objects.filter(clinic=locked.clinic).first()
        locked.is_active = is_active
        if is_active and head is not None:
            locked.position = max(locked.position, head.number)
        locked.save(update_fields=["is_active", "position"])
        record(
            clinic=locked.clinic,
            action=Action.WEBHOOK_CHANGED,
            actor=actor,
            target=locked,
            detail={"is_active": is_active},
        )


def send_test(*, endpoint: Endpoint) -> Delivery:
    """Queue a message by which people see whether the webhook works; one that waits already is sent now."""
    with transaction.atomic():
        Endpoint.objects.select_for_update().get(pk=endpoint.pk)
        waiting = endpoint.deliveries.filter(event=TEST, state=Delivery.State.PENDING).first()
        if waiting is None:
            payload = message(TEST, timezone.now().isoformat(), {})
            return Delivery.objects.create(endpoint=endpoint, event=TEST, payload=payload)
        waiting.next_at = timezone.now()
        waiting.save(update_fields=["next_at"])
        return waiting


def send_again(*, delivery: Delivery) -> None:
    """Queue a message that was not delivered once more, from the first pause on."""
    Delivery.objects.filter(pk=delivery.pk).exclude(state=Delivery.State.DELIVERED).update(
        state=Delivery.State.PENDING, attempts=0, next_at=Now(), finished_at=None
    )


def key_of(endpoint: Endpoint) -> bytes:
    """The secret that signatures are made with. Raises `DecryptionError`."""
    return decrypt(endpoint.secret, key=endpoint.clinic.pseudonym_key, purpose=_PURPOSE, row=str(endpoint.pk))


def message(event: str, at: str, data: dict[str, Any]) -> dict[str, Any]:
    """A message as Standard Webhooks describes it."""
    return {"type": event, "timestamp": at, "data": data}
