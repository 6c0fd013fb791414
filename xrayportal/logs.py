"""Log lines without patient content."""

from __future__ import annotations

import logging
import re
from typing import Any

#: What PostgreSQL adds to an error quotes the row or the statement. It ends where a chained traceback
#: goes on.
_QUOTED = re.compile(
    r"^(DETAIL|CONTEXT|QUERY|LINE \d+):.*?(?=\n\n(?:The above exception was|During handling of)|\Z)",
    re.DOTALL | re.MULTILINE,
)


class LineFormatter(logging.Formatter):
    """Ordinary lines; tracebacks of database errors lose what the database quoted."""

    def formatException(self, ei: Any) -> str:
        """The traceback, its kind of error and place kept."""
        return _QUOTED.sub(r"\1: (left out)", super().formatException(ei))
