"""One site and one tab for all tests of the viewer: a new browser profile for each would cost time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, expect

from tests.study.viewer.hands import Open
from tests.study.viewer.site import Site, viewer


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


class Tabs:
    """One tab for each kind of browser (size, scripts, touch), used by one test after the other."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._open: dict[str, Page] = {}

    def tab(self, *, script: str = "", **options: Any) -> Page:
        """The tab with these options of a browser context; ``script`` runs before those of a page."""
        kind = repr((script, sorted(options.items())))
        if kind not in self._open:
            context = self._browser.new_context(**options)
            if script:
                context.add_init_script(script)
            self._open[kind] = context.new_page()
        return self._open[kind]

    def clear(self) -> None:
        """Remove everything that a test left in the browser."""
        for page in self._open.values():
            if page.url != "about:blank":
                page.evaluate("localStorage.clear()")
                page.goto("about:blank")

    def close(self) -> None:
        for page in self._open.values():
            page.context.close()


@pytest.fixture(scope="package")
def _tabs(browser: Browser) -> Iterator[Tabs]:
    tabs = Tabs(browser)
    yield tabs
    tabs.close()


@pytest.fixture
def tabs(_tabs: Tabs) -> Iterator[Tabs]:
    yield _tabs
    _tabs.clear()


@pytest.fixture
def errors() -> list[str]:
    return []


@pytest.fixture
def open_page(tabs: Tabs, errors: list[str]) -> Iterator[Open]:
    """Opens an address and waits for its viewers; an error in the page fails the test at its end."""
    heard: list[Page] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    def complain(error: Error) -> None:
        errors.append(str(error))

    def start(address: str, *, ready: bool = True, **options: Any) -> Page:
        page = tabs.tab(**{"viewport": {"width": 1100, "height": 800}, **options})
        page.on("console", note)
        page.on("pageerror", complain)
        heard.append(page)
        page.goto(address)
        if ready:
            for figure in page.locator("figure.viewer").all():
                expect(figure).to_have_attribute("data-ready", "")
        return page

    yield start
    for page in heard:
        page.remove_listener("console", note)
        page.remove_listener("pageerror", complain)
    assert errors == []


@pytest.fixture
def page(site: Site, open_page: Open) -> Page:
    """A study page with one viewer whose picture has 0.2 mm rows and 0.1 mm columns."""
    return open_page(site.page(viewer(site.finding())))


@pytest.fixture
def modules(site: Site, tabs: Tabs) -> Callable[[str], Any]:
    """Runs an expression with `colours`, `heatmap` and `contour` as the modules of those names."""
    page = tabs.tab()
    page.goto(site.page())

    def run(expression: str) -> Any:
        return page.evaluate(
            f"""async () => {{
              const names = ["colours", "heatmap", "contour"];
              const [colours, heatmap, contour] = await Promise.all(
                names.map((name) => import(`/static/study/viewer/${{name}}.js`)));
              return ({expression});
            }}"""
        )

    return run
