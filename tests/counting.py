"""How many queries a request costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.test.utils import CaptureQueriesContext


@contextmanager
def counted() -> Iterator[CaptureQueriesContext]:
    """The queries of a request, the session's and the person's included."""
    with CaptureQueriesContext(connection) as queries:
        yield queries
