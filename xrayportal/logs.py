"""Log lines without patient content, for people (``LOG_FORMAT=line``) or for machines (``json``).

Lines of one study share its id: `log_context` puts it, and other ids, onto every line that is logged inside.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

#: The lines that PostgreSQL adds to an error quote the row or the statement. They end where a chained
#: traceback goes on.
_QUOTED = re.compile(
    r"^(DETAIL|CONTEXT|QUERY|LINE \d+):.*?(?=\n\n(?:The above exception was|During handling of)|\Z)",
    re.DOTALL | re.MULTILINE,
)
_ids: ContextVar[Mapping[str, str]] = ContextVar("log_ids", default=MappingProxyType({}))


@contextmanager
def log_context(**ids: object) -> Iterator[None]:
    """Put these ids onto every line that this thread logs inside, such as ``study`` and ``analysis``."""
    token = _ids.set({**_ids.get(), **{name: str(value) for name, value in ids.items()}})
    try:
        yield
    finally:
        _ids.reset(token)


class _SafeFormatter(logging.Formatter):
    """Tracebacks of database errors lose what the database quoted."""

    def formatException(self, ei: Any) -> str:
        """The traceback with the kind of error and its place, without what the database quoted."""
        return _QUOTED.sub(r"\1: (left out)", super().formatException(ei))


class LineFormatter(_SafeFormatter):
    """Formats a record as a line for people, with the ids in brackets at its end."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text; one line for a request that Django refuses."""
        return super().format(_without_refusal(record))

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line itself; a traceback comes after it."""
        ids = " ".join(f"{name}={value}" for name, value in _ids.get().items())
        return super().formatMessage(record) + (f" [{ids}]" if ids else "")


class JsonFormatter(_SafeFormatter):
    """Formats a record as a line of JSON: time, level, logger, message, ids, ``extra={"fields": …}``."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; a traceback is one of its values."""
        record = _without_refusal(record)
        values: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_ids.get(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        return json.dumps(values, ensure_ascii=False, default=str)


def _without_refusal(record: logging.LogRecord) -> logging.LogRecord:
    """The record without the traceback of a request that Django refuses, such as one with a wrong Host.

    Its sentence says all. With a traceback for each, anybody could fill the disk.
    """
    if record.name.startswith("django.security."):
        record = copy(record)
        record.exc_info = record.exc_text = None
    return record
