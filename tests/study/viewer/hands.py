"""Actions on a viewer as a person does them: choose a tool, read the corner, drag."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.study.viewer.site import HEIGHT, WIDTH

Open = Callable[..., Page]


def tool(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def expect_figures(place: Page | Locator, words: str) -> None:
    """Expect this zoom, window width or level in the corner of the picture, which the next frame draws."""
    expect(place.locator("[data-show=figures]")).to_contain_text(words)


def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """The place on the page of a point of a fitted, upright picture."""
    box = page.locator(".viewer-stage").bounding_box()
    assert box is not None
    scale = min(box["width"] / WIDTH, box["height"] / HEIGHT)
    left = box["x"] + (box["width"] - WIDTH * scale) / 2
    top = box["y"] + (box["height"] - HEIGHT * scale) / 2
    return left + x * scale, top + y * scale


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()
