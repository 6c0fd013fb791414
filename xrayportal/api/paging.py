"""Pages by cursor: a position in an order, so that rows that come or go meanwhile move nothing."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _
from ninja import Query, Schema
from pydantic import Field

from xrayportal.api.problems import Problem

Row = TypeVar("Row", bound=Model)
MOST = 200


class PageQuery(Schema):
    """Which page of a list."""

    limit: Annotated[int, Field(ge=1, le=MOST, description="How many items at most.")] = 50
    cursor: Annotated[
        str,
        Field(
            max_length=200,
            pattern=r"^[A-Za-z0-9_-]*$",
            description="`next` of the page before; empty for the first page.",
        ),
    ] = ""


Paging = Query[PageQuery]


def page_of(rows: QuerySet[Row], page: PageQuery, *, at: str = "created_at") -> tuple[list[Row], str | None]:
    """One page of the rows, newest first by ``at``, and the cursor of the next, None at the end."""
    ordered = rows.order_by(f"-{at}", "-pk")
    if page.cursor:
        moment, pk = _read(page.cursor)
        # The first condition alone bounds the index; the others decide at the same moment.
        ordered = ordered.filter(**{f"{at}__lte": moment}).filter(Q(**{f"{at}__lt": moment}) | Q(pk__lt=pk))
    found = list(ordered[: page.limit + 1])
    if len(found) <= page.limit:
        return found, None
    last = found[page.limit - 1]
    return found[: page.limit], _encoded([getattr(last, at).isoformat(), str(last.pk)])


def page_by_number(rows: QuerySet[Row], page: PageQuery, *, field: str) -> tuple[list[Row], str | None]:
    """One page of the rows in the rising order of a whole number, and the cursor of the next one.

    Also the last page has a cursor where it has rows: rows that are appended later come after it.
    """
    after = _number(page.cursor) if page.cursor else 0
    found = list(rows.filter(**{f"{field}__gt": after}).order_by(field)[: page.limit])
    return found, _encoded([getattr(found[-1], field)]) if found else None


def _encoded(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _decoded(cursor: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None


def _read(cursor: str) -> tuple[datetime, uuid.UUID]:
    match _decoded(cursor):
        case [str(at), str(pk)]:
            try:
                moment = datetime.fromisoformat(at)
                if moment.tzinfo is not None and 1900 < moment.year < 9000:
                    # PostgreSQL does not know every offset that Python does.
                    return moment.astimezone(UTC), uuid.UUID(pk)
            except (ValueError, OverflowError):
                pass
    raise _unknown()


def _number(cursor: str) -> int:
    match _decoded(cursor):
        case [int(number)] if 0 <= number < 2**63:
            return number
    raise _unknown()


def _unknown() -> Problem:
    return Problem(404, _("This cursor is none that the API gave for this list."))
