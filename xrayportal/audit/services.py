"""Writing the audit chains, and verifying them."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from django.db import connection, models, transaction
from django.utils import timezone

from xrayportal.audit.anchors import Anchor
from xrayportal.audit.models import Action, AuditEvent, AuditHead, ChainCheck
from xrayportal.hosts import parse_address

#: What the first link of every chain follows.
START = "0" * 64


class Actor(Protocol):
    """What an event keeps of its actor: a person's id (empty for none), a name, an address."""

    @property
    def user_id(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def address(self) -> str | None: ...


@dataclass(frozen=True)
class ChainState:
    """The outcome of ``verify``: ``length`` good links, and the number of the first bad one, if any.

    ``anchors`` is how many anchors the chain was compared with.
    """

    clinic: models.Model | None
    length: int
    broken_at: int | None = None
    reason: str = ""
    anchors: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether every link follows from the one before it, up to the recorded head."""
        return self.broken_at is None


def record(
    *,
    clinic: models.Model | None,
    action: Action,
    actor: Actor | None = None,
    target: models.Model | None = None,
    study: models.Model | uuid.UUID | None = None,
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    """Append one event to the clinic's chain, or to the platform's for ``clinic=None``; returns the event.

    Call it last in the transaction of the change: the chain's head stays locked until that
    transaction ends, and every writer of the clinic waits for it. A transaction that writes to two
    chains takes the clinic's first, then the platform's. ``detail`` holds ids, kinds and figures,
    never patient content.
    """
    event = new_event(
        clinic=clinic, action=action, actor=actor, target=target, study=study, detail=detail or {}
    )
    record_all([event])
    return event


def new_event(
    *,
    clinic: models.Model | uuid.UUID | None,
    action: Action,
    actor: Actor | None = None,
    target: models.Model | None = None,
    study: models.Model | uuid.UUID | None = None,
    detail: dict[str, Any],
) -> AuditEvent:
    """An event for `record_all`, with the arguments of `record`."""
    return AuditEvent(
        clinic_id=_key(clinic),
        at=timezone.now(),
        actor_id_text=actor.user_id if actor else "",
        actor_label=actor.label if actor else "",
        action=Action(action).value,
        target_kind=target._meta.model_name or "" if target is not None else "",
        target_id=str(target.pk) if target is not None else "",
        study_id=_key(study),
        detail=detail,
        address=_plain_address(actor.address if actor else None),
    )


def record_all(events: Iterable[AuditEvent]) -> None:
    """Append events of `new_event`, each chain's in their order and by one statement, as `record` does.

    Chains are taken in the order of their clinics' keys, the platform's last, so that two of us never wait
    for each other.
    """
    chains: dict[uuid.UUID | None, list[AuditEvent]] = {}
    for event in events:
        chains.setdefault(event.clinic_id, []).append(event)
    # No savepoint: a change whose event cannot be written is no change.
    with transaction.atomic(savepoint=False):
        for clinic in sorted(chains, key=lambda key: (key is None, str(key))):
            if not _append(clinic, chains[clinic]):
                # Two first writers: the second insert waits for the first, and does nothing.
                AuditHead.objects.bulk_create([AuditHead(clinic_id=clinic)], ignore_conflicts=True)
                _append(clinic, chains[clinic])


def verify(*, clinic: models.Model | None, anchors: Iterable[Anchor] = ()) -> ChainState:
    """Recompute a whole chain and compare it with its head and with anchors; safe while others write.

    By itself a chain shows changed, removed, inserted and renumbered events, and a cut-off end that its head
    still names. ``anchors`` show what was cut off, rewritten or removed together with the head; those of
    other chains are passed over. They must have been read before this is called.
    """
    anchored: dict[int, set[str]] = {}
    for anchor in anchors:
        if anchor.clinic == _key(clinic):
            anchored.setdefault(anchor.number, set()).add(anchor.hash)
    compared = sum(map(len, anchored.values()))

    def broken(number: int, reason: str) -> ChainState:
        return ChainState(clinic, length, number, reason, compared)

    length, previous, last_id = 0, START, 0
    recorded = AuditHead.objects.filter(clinic=_key(clinic)).first()
    events = AuditEvent.objects.filter(clinic=_key(clinic)).order_by("number").iterator(chunk_size=2000)
    for event in events:
        if event.number != length + 1:
            return broken(length + 1, f"event {length + 1} is missing")
        if event.previous != previous:
            return broken(event.number, "it does not follow the event before it")
        if event.hash != link(event):
            return broken(event.number, "its content does not match its hash")
        if event.pk <= last_id:
            return broken(event.number, "its id does not follow the one before it")
        if recorded is not None and event.number == recorded.number and event.hash != recorded.hash:
            return broken(event.number, "it is not the event that the head names")
        if not anchored.pop(event.number, {event.hash}) <= {event.hash}:
            return broken(event.number, "it is not the event that an anchor names: the chain was rewritten")
        length, previous, last_id = event.number, event.hash, event.pk
    # The head moves while we read, but only forwards: events past it were not written by ``record``.
    if length < (recorded.number if recorded else 0):
        return broken(length + 1, "the end of the chain is missing")
    if anchored:
        return broken(length + 1, f"an anchor names event {max(anchored)}: the end of the chain was cut off")
    latest = AuditHead.objects.filter(clinic=_key(clinic)).first()
    if length > (latest.number if latest else 0):
        return broken(length, "it lies past the recorded head")
    return ChainState(clinic, length, anchors=compared)


def check(*, clinic: models.Model | None, anchors: Iterable[Anchor] = ()) -> ChainState:
    """``verify``, and keep the outcome for the operations page."""
    state = verify(clinic=clinic, anchors=anchors)
    outcome = {"length": state.length, "broken_at": state.broken_at, "reason": state.reason}
    chain: dict[str, Any] = {"clinic_id": _key(clinic)}
    ChainCheck.objects.update_or_create(**chain, defaults=outcome)
    return state


def link(event: AuditEvent) -> str:
    """The hash of an event: sha256 over the previous hash and the canonical JSON of the content."""
    return hashlib.sha256(f"{event.previous}{canonical(event)}".encode()).hexdigest()


def canonical(event: AuditEvent) -> str:
    """The event as JSON that is the same before and after the database: sorted, no spaces, UTC."""
    before, after = _around_number(event)
    return f"{before}{event.number}{after}"


def _around_number(event: AuditEvent) -> tuple[str, str]:
    """The canonical JSON before and after the value of ``number``, which only the chain's end knows."""
    before = {
        "action": event.action,
        "actor": event.actor_id_text,
        "actor_label": event.actor_label,
        "address": _plain_address(event.address),
        "at": _utc(event.at),
        "clinic": str(event.clinic_id) if event.clinic_id else None,
        "detail": _plain(event.detail),
    }
    after = {
        "study": str(event.study_id) if event.study_id else None,
        "target": event.target_id,
        "target_kind": event.target_kind,
    }
    return f'{_json(before)[:-1]},"number":', f",{_json(after)[1:]}"


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


#: All in one statement: while the head is locked every writer of the clinic waits, so between the lock and
#: the commit nobody waits for Python. The hash is that of ``link``.
_APPEND = """
WITH head AS MATERIALIZED (
    SELECT id, number + 1 AS number, hash AS previous
    FROM audit_audithead WHERE clinic_id IS NOT DISTINCT FROM %(clinic)s::uuid
    FOR UPDATE
), link AS MATERIALIZED (
    SELECT *, encode(sha256(convert_to(previous || %(before)s || number || %(after)s, 'UTF8')), 'hex') AS hash
    FROM head
), moved AS (
    UPDATE audit_audithead SET number = link.number, hash = link.hash
    FROM link WHERE audit_audithead.id = link.id
)
INSERT INTO audit_auditevent (
    clinic_id, number, at, actor_id_text, actor_label, action, target_kind, target_id, study_id, detail,
    address, previous, hash
)
SELECT %(clinic)s::uuid, number, %(at)s, %(actor)s, %(label)s, %(action)s, %(kind)s, %(target)s,
    %(study)s::uuid, %(detail)s::jsonb, %(address)s::inet, previous, hash
FROM link
RETURNING id, number, previous, hash
"""

#: The same for several, each link over the one before it; for one it would take half as long again.
_APPEND_ALL = """
WITH RECURSIVE head AS MATERIALIZED (
    SELECT id, number, hash FROM audit_audithead WHERE clinic_id IS NOT DISTINCT FROM %(clinic)s::uuid
    FOR UPDATE
), event AS MATERIALIZED (
    SELECT * FROM unnest(
        %(before)s::text[], %(after)s::text[], %(at)s::timestamptz[], %(actor)s::text[], %(label)s::text[],
        %(action)s::text[], %(kind)s::text[], %(target)s::text[], %(study)s::uuid[], %(detail)s::text[],
        %(address)s::inet[]
    ) WITH ORDINALITY AS given (
        before, after, at, actor, label, action, kind, target, study, detail, address, place
    )
), link AS (
    SELECT id AS head, 0::bigint AS place, number, ''::text AS previous, hash::text AS hash FROM head
    UNION ALL
    SELECT link.head, event.place, link.number + 1, link.hash, encode(sha256(convert_to(
        link.hash || event.before || (link.number + 1) || event.after, 'UTF8'
    )), 'hex')
    FROM link JOIN event ON event.place = link.place + 1
), moved AS (
    UPDATE audit_audithead SET number = link.number, hash = link.hash
    FROM link WHERE audit_audithead.id = link.head AND link.place = %(count)s
)
INSERT INTO audit_auditevent (
    clinic_id, number, at, actor_id_text, actor_label, action, target_kind, target_id, study_id, detail,
    address, previous, hash
)
SELECT %(clinic)s::uuid, link.number, at, actor, label, action, kind, target, study, detail::jsonb, address,
    link.previous, link.hash
FROM link JOIN event USING (place)
ORDER BY place
RETURNING id, number, previous, hash
"""


def _append(clinic: uuid.UUID | None, events: Sequence[AuditEvent]) -> bool:
    """Write the events as the chain's next links; False where the chain has no head yet."""
    around = [_around_number(event) for event in events]
    columns: dict[str, list[Any]] = {
        "before": [before for before, _ in around],
        "after": [after for _, after in around],
        "at": [event.at for event in events],
        "actor": [event.actor_id_text for event in events],
        "label": [event.actor_label for event in events],
        "action": [event.action for event in events],
        "kind": [event.target_kind for event in events],
        "target": [event.target_id for event in events],
        "study": [event.study_id for event in events],
        "detail": [json.dumps(event.detail) for event in events],
        "address": [event.address for event in events],
    }
    with connection.cursor() as cursor:
        if len(events) == 1:
            cursor.execute(_APPEND, {"clinic": clinic, **{name: one for name, (one,) in columns.items()}})
        else:
            cursor.execute(_APPEND_ALL, {"clinic": clinic, "count": len(events), **columns})
        rows = sorted(cursor.fetchall(), key=lambda row: row[1])
    if not rows:
        return False
    for event, row in zip(events, rows, strict=True):
        event.id, event.number, event.previous, event.hash = row
        event._state.adding, event._state.db = False, connection.alias
    return True


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _key(row: models.Model | uuid.UUID | None) -> uuid.UUID | None:
    return row.pk if isinstance(row, models.Model) else row


def _plain_address(address: str | None) -> str | None:
    return str(parse_address(address)) if address else None


def _plain(value: Any) -> Any:
    """A whole float becomes an integer: PostgreSQL's numbers do not keep the difference."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
