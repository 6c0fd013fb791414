"""The people of ``tests.portal`` and what pages are looked at with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.portal.conftest import House, browser, house

__all__ = ["House", "browser", "counted", "house"]


@contextmanager
def counted() -> Iterator[CaptureQueriesContext]:
    """The queries of a request, the session's and the person's included."""
    with CaptureQueriesContext(connection) as queries:
        yield queries
