"""Counts on a terminal, and nothing where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def with_progress(items: Iterable[T], total: int, doing: str) -> Iterator[T]:
    """The ``total`` ``items`` one by one, counted on standard error if that is a terminal."""
    is_terminal = sys.stderr.isatty()
    for number, item in enumerate(items, start=1):
        if is_terminal:
            sys.stderr.write(f"\r{doing}: {number} of {total}" + "\n" * (number == total))
        yield item
