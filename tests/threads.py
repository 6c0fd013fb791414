"""Threads that act at the same time, for tests of what may happen once only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

T = TypeVar("T")
R = TypeVar("R")


def at_once(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Call the function for every item, each in a thread with database connections of its own.

    They begin together, once every thread is there. The answers are in the order of the items; the first
    exception is raised when all have ended.
    """
    items = list(items)
    start = threading.Barrier(len(items))

    def run(item: T) -> R:
        try:
            start.wait()
            return function(item)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(run, items))
