"""The clinic's audit log."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated

from ninja import Query, Router
from pydantic import Field

from xrayportal.access import ClinicAccess
from xrayportal.api.authorization import AUDIT, ApiRequest
from xrayportal.api.paging import Paging, page_by_number
from xrayportal.api.schemas import audit as schemas
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.reviews.blind import visible_predictions

router = Router(tags=["audit"])

#: In the detail of an event that asks for an analysis: the body part that it was told to assume.
_BODY_PART = "forced_body_part"


@router.get("/audit/events", auth=AUDIT, response=schemas.EventPage)
def list_events(
    request: ApiRequest,
    page: Paging,
    action: Annotated[Action | None, Query(description="Only of this kind.")] = None,
    study: Annotated[uuid.UUID | None, Field(description="Only about this study.")] = None,
) -> schemas.EventPage:
    """The clinic's audit events, oldest first. Keep `next` to go on from where you stopped.

    A person who reads blind is not told that a body part was corrected before they saved their verdict.
    """
    events = AuditEvent.objects.filter(clinic=request.auth.clinic)
    if action is not None:
        events = events.filter(action=action)
    if study is not None:
        events = events.filter(study_id=study)
    rows, following = page_by_number(events, page, field="number")
    hidden = _hidden(request.auth, rows)
    items = [_event(row, is_hidden=row.study_id in hidden) for row in rows]
    return schemas.EventPage(items=items, next=following)


def _hidden(access: ClinicAccess, rows: Sequence[AuditEvent]) -> set[uuid.UUID]:
    """The studies of these events whose corrected body part would tell a blind reader of the prediction."""
    corrected = {row.study_id for row in rows if row.study_id and _BODY_PART in row.detail}
    if not corrected:
        return set()
    told = visible_predictions(access, access.studies().filter(pk__in=corrected))
    return corrected - set(told.values_list("pk", flat=True))


def _event(row: AuditEvent, *, is_hidden: bool) -> schemas.Event:
    detail = {key: value for key, value in row.detail.items() if not (is_hidden and key == _BODY_PART)}
    return schemas.Event(
        number=row.number,
        at=row.at,
        actor=row.actor_label,
        action=row.action,
        target_kind=row.target_kind,
        target=row.target_id,
        study=row.study_id,
        detail=detail,
        address=row.address,
        previous=row.previous,
        hash=row.hash,
    )
