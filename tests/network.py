"""Between a page and its server: what Playwright changes there is in force from the next line on.

Chromium answers "intercepted", or "no network", before the page's own requests meet it: on a busy machine one
in forty passed by. So the page asks for a small file until that is treated as it should be.
"""

from __future__ import annotations

from collections.abc import Callable
from re import Pattern
from typing import Any

from playwright.sync_api import Page, Route

from tests.waiting import wait_until

#: What the page answers to "is it intercepted?": the status of a file that every server of the tests has.
_STATUS = """fetch("/static/shared/mark.svg?probe", { cache: "no-store" }).then(
  (answer) => answer.status,
  () => null,
)"""
_PROBE = "**/mark.svg?probe"
_CAUGHT = 299


def intercept(page: Page, address: str | Pattern[str], handler: Callable[..., Any]) -> None:
    """As ``page.route`` for the page that is open; what it asks for next comes to ``handler``."""
    page.route(address, handler)
    page.route(_PROBE, lambda route: route.fulfill(status=_CAUGHT))
    wait_until(page, lambda: page.evaluate(_STATUS) == _CAUGHT)
    page.unroute(_PROBE)


def hold(route: Route) -> None:
    """Leave a request without an answer until ``page.unroute``, which lets it go on."""


def set_offline(page: Page, is_offline: bool) -> None:
    """As ``BrowserContext.set_offline``; what the page asks for next fails, or is answered again."""
    page.context.set_offline(is_offline)
    wait_until(page, lambda: (page.evaluate(_STATUS) is None) == is_offline)
