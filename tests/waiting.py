"""How long tests wait, and waiting for what no ``expect`` of Playwright sees."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

#: Seconds for what takes a moment, or the few seconds of a start, on a machine that may have much else to do.
#: A test fails when they are over; none is slower for it otherwise.
PATIENCE = 90


def wait_until(page: Page, condition: Callable[[], object]) -> None:
    """Let the page go on, and Playwright tell what happens there, until the condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"did not come true within {PATIENCE} s")
        page.wait_for_timeout(20)
