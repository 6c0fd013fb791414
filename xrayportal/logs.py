"""Log lines without patient content."""

from __future__ import annotations

import logging
import re
from copy import copy
from typing import Any

#: What PostgreSQL adds to an error quotes the row or the statement. It ends where a chained traceback
#: goes on.
_QUOTED = re.compile(
    r"^(DETAIL|CONTEXT|QUERY|LINE \d+):.*?(?=\n\n(?:The above exception was|During handling of)|\Z)",
    re.DOTALL | re.MULTILINE,
)


class LineFormatter(logging.Formatter):
    """Ordinary lines; tracebacks of database errors lose what the database quoted."""

    def format(self, record: logging.LogRecord) -> str:
        """One line for a request that Django refuses, such as one with a wrong Host.

        Its sentence says all; with a traceback each, anybody could fill the disk.
        """
        if record.name.startswith("django.security."):
            record = copy(record)
            record.exc_info = record.exc_text = None
        return super().format(record)

    def formatException(self, ei: Any) -> str:
        """The traceback, its kind of error and place kept."""
        return _QUOTED.sub(r"\1: (left out)", super().formatException(ei))
