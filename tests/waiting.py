"""Waiting for what no ``expect`` of Playwright sees: what a test has noted of requests and messages."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.conftest import PATIENCE


def wait_until(page: Page, condition: Callable[[], object]) -> None:
    """Let the page go on, and Playwright tell what happens there, until the condition holds."""
    end = time.monotonic() + PATIENCE / 1000
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"did not come true within {PATIENCE / 1000:g} s")
        page.wait_for_timeout(20)
