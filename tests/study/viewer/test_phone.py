"""The viewer on a phone: its size, and two fingers."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.study.viewer.hands import Open, expect_figures, on_screen, tool
from tests.study.viewer.site import MARKER, Site, viewer
from tests.waiting import wait_until


@pytest.fixture
def phone(site: Site, open_page: Open) -> Page:
    return open_page(
        site.page(viewer(site.finding())),
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=3,
    )  # fmt: skip


def test_on_a_phone_nothing_overflows_and_targets_are_large(phone: Page) -> None:
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    for button in phone.locator(".viewer-bar button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 44
    expect(phone.get_by_label("Opacity")).to_be_hidden()
    tool(phone, "Heatmap settings").tap()
    expect(phone.get_by_label("Opacity")).to_be_visible()


def test_two_fingers_zoom_and_one_moves(phone: Page) -> None:
    session = phone.context.new_cdp_session(phone)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    x, y = on_screen(phone, *MARKER)
    touch("touchStart", (x - 30, y), (x + 30, y))
    for spread in (40, 50, 60):
        touch("touchMove", (x - spread, y), (x + spread, y))
    touch("touchEnd")
    expect_figures(phone, "366 %")  # twice the fit: 390 of 640 pixels, three to the CSS pixel
    middle = "document.querySelector('figure.viewer').lightbox.view.middle().x"
    at = phone.evaluate(middle)
    touch("touchStart", (x, y))
    for step in (20, 40, 60):
        touch("touchMove", (x - step, y))
    touch("touchEnd")
    wait_until(phone, lambda: phone.evaluate(middle) > at + 20)
