"""The clinic's audit log."""

from __future__ import annotations

import uuid
from typing import Annotated

from ninja import Query, Router
from pydantic import Field

from xrayportal.api.authorization import AUDIT, ApiRequest
from xrayportal.api.paging import Paging, page_by_number
from xrayportal.api.schemas import audit as schemas
from xrayportal.audit.models import Action, AuditEvent

router = Router(tags=["audit"])


@router.get("/audit/events", auth=AUDIT, response=schemas.EventPage)
def list_events(
    request: ApiRequest,
    page: Paging,
    action: Annotated[Action | None, Query(description="Only of this kind.")] = None,
    study: Annotated[uuid.UUID | None, Field(description="Only about this study.")] = None,
) -> schemas.EventPage:
    """The clinic's audit events, oldest first. Keep `next` to go on from where you stopped."""
    events = AuditEvent.objects.filter(clinic=request.auth.clinic)
    if action is not None:
        events = events.filter(action=action)
    if study is not None:
        events = events.filter(study_id=study)
    rows, following = page_by_number(events, page, field="number")
    return schemas.EventPage(items=[_event(row) for row in rows], next=following)


def _event(row: AuditEvent) -> schemas.Event:
    return schemas.Event(
        number=row.number,
        at=row.at,
        actor=row.actor_label,
        action=row.action,
        target_kind=row.target_kind,
        target=row.target_id,
        study=row.study_id,
        detail=row.detail,
        address=row.address,
        previous=row.previous,
        hash=row.hash,
    )
