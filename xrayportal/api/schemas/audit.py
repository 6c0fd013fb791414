"""What operations tell of the audit chain."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from ninja import Schema


class Event(Schema):
    """One link of the clinic's audit chain."""

    number: int
    at: datetime
    actor: str
    action: str
    target_kind: str
    target: str
    study: uuid.UUID | None
    detail: dict[str, Any]
    address: str | None
    previous: str
    hash: str


class EventPage(Schema):
    """A page of events in the order of the chain. `next` also leads to events that are still to come."""

    items: list[Event]
    next: str | None
