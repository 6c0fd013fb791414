"""Log lines without patient content."""

from __future__ import annotations

import logging
import re
from copy import copy
from typing import Any

#: The lines that PostgreSQL adds to an error quote the row or the statement. They end where a chained
#: traceback goes on.
_QUOTED = re.compile(
    r"^(DETAIL|CONTEXT|QUERY|LINE \d+):.*?(?=\n\n(?:The above exception was|During handling of)|\Z)",
    re.DOTALL | re.MULTILINE,
)


class LineFormatter(logging.Formatter):
    """Formats a record as a line; tracebacks of database errors lose what the database quoted."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text; one line for a request that Django refuses, such as one with a wrong Host.

        Its sentence says all. With a traceback for each, anybody could fill the disk.
        """
        if record.name.startswith("django.security."):
            record = copy(record)
            record.exc_info = record.exc_text = None
        return super().format(record)

    def formatException(self, ei: Any) -> str:
        """The traceback with the kind of error and its place, without what the database quoted."""
        return _QUOTED.sub(r"\1: (left out)", super().formatException(ei))
