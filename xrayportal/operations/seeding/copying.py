"""Inserting hundreds of thousands of rows: PostgreSQL's COPY, fed with model instances."""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, models
from django.db.models.expressions import DatabaseDefault

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_SPECIAL = re.compile(r"[\\\t\n\r]")


def copy_rows(rows: Sequence[models.Model]) -> None:
    """Insert instances of one model exactly as they are, ``auto_now`` times included.

    No signal is sent. Columns that the database fills (sequences, ``db_default``) are left to it, and every
    constraint and trigger holds.
    """
    if not rows:
        return
    model = type(rows[0])
    fields = [field for field in model._meta.concrete_fields if not _is_left_out(rows[0], field)]
    lines = io.StringIO()
    for row in rows:
        lines.write("\t".join([_text(getattr(row, field.attname)) for field in fields]))
        lines.write("\n")
    lines.seek(0)
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {quote(model._meta.db_table)} ({columns}) FROM STDIN", lines)


def _is_left_out(row: models.Model, field: models.Field[Any, Any]) -> bool:
    value = getattr(row, field.attname)
    return isinstance(value, DatabaseDefault) or (isinstance(field, models.AutoField) and value is None)


def _text(value: Any) -> str:
    """One value as COPY's text format writes it."""
    write = _WRITERS.get(type(value))
    return write(value) if write else _escaped(str(value))


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES) if _SPECIAL.search(text) else text


#: By the type of the value: millions are written.
_WRITERS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _none: "\\N",
    bool: lambda value: "t" if value else "f",
    datetime: datetime.isoformat,
    dict: lambda value: _escaped(json.dumps(value)),
    list: lambda value: _escaped(json.dumps(value)),
    uuid.UUID: str,
    float: str,
    int: str,
}
