"""Turns audit events into messages, and delivers them: signed, again after growing pauses, each with its log.

The audit chain is the outbox: an event is in it if and only if the thing happened, in order and without gaps.
"""

from __future__ import annotations

import json
import logging
import random
import socket
import ssl
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPException
from itertools import zip_longest
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db import Error, close_old_connections, connection, transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.utils import timezone
from standardwebhooks import Webhook

from xrayportal.audit.models import AuditEvent, AuditHead
from xrayportal.clinics.actors import PORTAL
from xrayportal.encryption import DecryptionError
from xrayportal.webhooks.addresses import Connection, NotPermittedError, check_url, permitted_addresses
from xrayportal.webhooks.models import TOLD, Delivery, Endpoint
from xrayportal.webhooks.services import key_of, message, set_active

logger = logging.getLogger(__name__)

#: The pauses before the second attempt and the next ones: three days in all.
PAUSES = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 60, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 20 * 3600)
)
#: One attempt, whatever the receiver does.
_SECONDS = 10.0
#: A delivery that a process took is another's after this long.
_LEASE = timedelta(seconds=60)
_LOG_DAYS = 30
#: One clinic's receivers, all of them silent, leave half of the threads to the others.
_PER_ROUND, _PER_CLINIC, _AT_ONCE = 32, 8, 16
_EVENTS_A_ROUND = 500
_PAUSE_SECONDS = 1.0
#: A receiver that says so (410) wants no more.
_GONE = 410


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What one attempt came to."""

    status: int | None = None
    problem: str = ""

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Deliverer(threading.Thread):
    """Rounds until ``stop``; several processes may have one."""

    def __init__(self) -> None:
        super().__init__(name="webhooks", daemon=True)
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """End after the present round."""
        self._stop_asked.set()

    def run(self) -> None:
        """Go on whatever happens: one clinic's message must not end those of the others."""
        while not self._stop_asked.wait(_PAUSE_SECONDS):
            try:
                close_old_connections()
                collect()
                deliver_due()
                forget_old()
            except Error as error:
                logger.warning("Webhooks wait for the database: %s", type(error).__name__)
            except Exception:
                logger.exception("A round of webhooks failed")
        connection.close()


def collect() -> int:
    """Make deliveries of the audit events that endpoints have not been told; returns how many."""
    head = AuditHead.objects.filter(clinic=OuterRef("clinic")).values("number")[:1]
    behind = Endpoint.objects.annotate(head=Subquery(head)).filter(is_active=True, head__gt=F("position"))
    return sum(_collect_for(pk) for pk in behind.values_list("pk", flat=True))


def deliver_due() -> int:
    """Attempt the deliveries that are due, some at a time; returns how many."""
    taken = _take_due()
    if not taken:
        return 0
    with ThreadPoolExecutor(min(_AT_ONCE, len(taken))) as pool:
        for delivery, attempt in zip(taken, pool.map(_attempt, taken), strict=True):
            _note(delivery, attempt)
    return len(taken)


def forget_old() -> None:
    """Remove what ended a month ago from the log."""
    past = timezone.now() - timedelta(days=_LOG_DAYS)
    Delivery.objects.filter(finished_at__lt=past).delete()


@transaction.atomic
def _collect_for(pk: UUID) -> int:
    endpoint = (
        Endpoint.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("clinic")
        .filter(pk=pk, is_active=True)
        .first()
    )
    if endpoint is None:
        return 0
    events = AuditEvent.objects.filter(clinic=endpoint.clinic, number__gt=endpoint.position)
    rows = list(events.order_by("number")[:_EVENTS_A_ROUND])
    if not rows:
        return 0
    told = [row for row in rows if TOLD.get(row.action) in endpoint.events]  # type: ignore[call-overload]
    Delivery.objects.bulk_create(_delivery(endpoint, row) for row in told)
    endpoint.position = rows[-1].number
    endpoint.save(update_fields=["position"])
    return len(told)


def _delivery(endpoint: Endpoint, row: AuditEvent) -> Delivery:
    event = TOLD[row.action]  # type: ignore[index]  # a choice is its text
    data = {"clinic": endpoint.clinic.slug, row.target_kind: row.target_id}
    if row.study_id is not None:
        data["study"] = str(row.study_id)
    return Delivery(
        endpoint=endpoint, event=event.value, payload=message(event.value, row.at.isoformat(), data)
    )


@transaction.atomic
def _take_due() -> list[Delivery]:
    """Due deliveries, shared out fairly; until their lease ends no other process takes them."""
    now = timezone.now()
    due = Q(state=Delivery.State.PENDING, next_at__lte=now)
    rows = Delivery.objects.filter(due, pk__in=_chosen(due)).select_for_update(skip_locked=True, of=("self",))
    taken = list(rows.select_related("endpoint__clinic").order_by("next_at"))
    Delivery.objects.filter(pk__in=[row.pk for row in taken]).update(
        next_at=now + _LEASE, attempts=F("attempts") + 1
    )
    for row in taken:
        row.attempts += 1
    return taken


def _chosen(due: Q) -> list[UUID]:
    """The ids of ``_PER_ROUND`` due deliveries at most, ``_PER_CLINIC`` of a clinic.

    Endpoints take turns within a clinic, and clinics among each other: ten thousand messages to a receiver
    that is away keep no other waiting.
    """
    oldest = Delivery.objects.filter(due, endpoint=OuterRef("pk")).order_by("next_at").values("pk")
    endpoints = Endpoint.objects.filter(is_active=True).annotate(due=ArraySubquery(oldest[:_PER_CLINIC]))
    by_clinic: dict[UUID, list[list[UUID]]] = defaultdict(list)
    for clinic, ids in endpoints.values_list("clinic", "due"):
        by_clinic[clinic].append(ids)
    of_clinics = [_in_turn(lists)[:_PER_CLINIC] for lists in by_clinic.values()]
    return _in_turn(of_clinics)[:_PER_ROUND]


def _in_turn(lists: list[list[UUID]]) -> list[UUID]:
    """The first of each, then the second of each, and so on; another begins each time."""
    random.shuffle(lists)
    return [pk for row in zip_longest(*lists) for pk in row if pk is not None]


def _attempt(delivery: Delivery) -> _Attempt:
    """Send one message, and tell what came of it, also of what was not foreseen."""
    try:
        return _Attempt(status=_send(delivery))
    except NotPermittedError as error:
        return _Attempt(problem=error.code)
    except DecryptionError:
        return _Attempt(problem="secret-lost")
    except socket.gaierror:
        return _Attempt(problem="unknown-host")
    except TimeoutError:
        return _Attempt(problem="time-out")
    except ssl.SSLError:
        return _Attempt(problem="tls")
    except (OSError, HTTPException):
        return _Attempt(problem="connection")
    except Exception:
        logger.exception("Delivery %s could not be sent", delivery.pk)
        return _Attempt(problem="not-sent")


def _send(delivery: Delivery) -> int:
    """The status of the receiver's answer; no query, because it runs in a thread of its own.

    Raises `NotPermittedError`, `DecryptionError`, and OSError or HTTPException of the connection.
    """
    parts = check_url(delivery.endpoint.url)
    is_plain = parts.scheme == "http"
    port = parts.port or (80 if is_plain else 443)
    addresses = permitted_addresses(parts.hostname or "", port, is_plain=is_plain)
    now, body = timezone.now(), json.dumps(delivery.payload, separators=(",", ":"))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"X-Ray-Portal/{settings.VERSION}",
        "webhook-id": str(delivery.pk),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(key_of(delivery.endpoint)).sign(str(delivery.pk), now, body),
    }
    link = Connection(parts, addresses, timeout=_SECONDS)
    # Each wait for bytes has its limit; this one is for a receiver that sends one byte at a time.
    watchdog = threading.Timer(1.5 * _SECONDS, link.abort)
    watchdog.start()
    try:
        target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        link.request("POST", target, body.encode(), headers)
        return link.getresponse().status
    finally:
        watchdog.cancel()
        link.close()


def _note(delivery: Delivery, attempt: _Attempt) -> None:
    now = timezone.now()
    fields: dict[str, object] = {"status": attempt.status, "problem": attempt.problem}
    if attempt.is_success:
        fields |= {"state": Delivery.State.DELIVERED, "finished_at": now}
    elif attempt.status == _GONE or delivery.attempts > len(PAUSES):
        fields |= {"state": Delivery.State.FAILED, "finished_at": now}
    else:
        fields["next_at"] = now + PAUSES[delivery.attempts - 1]
    mine = Q(pk=delivery.pk, attempts=delivery.attempts, state=Delivery.State.PENDING)
    Delivery.objects.filter(mine).update(**fields)
    if attempt.status == _GONE:
        set_active(endpoint=delivery.endpoint, is_active=False, actor=PORTAL)
    logger.info(
        "Webhook %s, delivery %s, attempt %d: %s",
        delivery.endpoint_id,
        delivery.pk,
        delivery.attempts,
        attempt.status or attempt.problem,
    )
