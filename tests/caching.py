"""The cache of the tests: what is remembered for seconds is remembered until the test ends."""

from __future__ import annotations

from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.locmem import LocMemCache


class LastingCache(LocMemCache):
    """A test that counts queries, or compares two answers, does not depend on how long it takes.

    Tests that need the next moment call ``cache.clear()``; ``tests/conftest.py`` does so before each.
    """

    def get_backend_timeout(self, timeout: Any = DEFAULT_TIMEOUT) -> float | None:
        """No end, except for what is not to be kept at all."""
        return super().get_backend_timeout(timeout) if timeout == 0 else None
