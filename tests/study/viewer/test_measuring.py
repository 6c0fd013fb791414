"""Windowing, lengths and regions: by mouse and by keyboard, in the picture's own pixels."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import Page, expect

from tests.study.viewer.hands import Open, drag, expect_figures, on_screen, tool
from tests.study.viewer.site import Site, viewer


def test_the_right_button_windows_in_every_mode(page: Page) -> None:
    x, y = on_screen(page, 100, 100)
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x - 55, y - 27, steps=3)
    page.mouse.up(button="right")
    expect_figures(page, "W 200 L 101")
    expect(page.get_by_role("status")).to_have_text("Window width 200, level 101")


def test_arrows_do_what_dragging_does(page: Page) -> None:
    stage = page.locator(".viewer-stage")
    stage.focus()
    page.keyboard.press("w")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("status")).to_have_text("Window width 251, level 124")
    page.keyboard.press("Escape")
    expect(tool(page, "Move")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowRight")
    expect_figures(page, "W 251 L 124")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.get_by_role("status")).to_have_text("Window width 255, level 124")


@pytest.mark.parametrize(
    ("spacing", "along", "down"),
    [([0.2, 0.1], "Length 20.0 mm", "Length 40.0 mm"), (None, "Length 200 px", "Length 200 px")],
)
def test_ruler(site: Site, open_page: Open, spacing: list[float] | None, along: str, down: str) -> None:
    page = open_page(site.page(viewer(site.finding(spacing=spacing))))
    # One picture pixel is one screen pixel here, so a drag of 200 pixels is exact.
    page.keyboard.press("a")
    page.keyboard.press("l")
    drag(page, (400, 300), (600, 300))
    expect(page.get_by_role("status")).to_have_text(along)
    drag(page, (420, 330), (420, 530))
    expect(page.get_by_role("status")).to_have_text(down)


def test_a_length_can_be_corrected_by_its_end_and_removed(page: Page) -> None:
    page.keyboard.press("a")
    page.keyboard.press("l")
    drag(page, (400, 300), (600, 300))
    drag(page, (602, 301), (500, 300))
    expect(page.get_by_role("status")).to_have_text("Length 10.0 mm")
    page.keyboard.press("Delete")
    expect(page.get_by_role("status")).to_have_text("Length removed")


def test_ruler_by_keyboard(page: Page) -> None:
    page.keyboard.press("a")
    page.keyboard.press("l")
    page.locator(".viewer-stage").focus()
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Length 5.3 mm")


def test_a_region_is_drawn_when_the_review_panel_asks_and_told_in_picture_pixels(
    site: Site, open_page: Open
) -> None:
    image = uuid.uuid4()
    page = open_page(site.page(viewer(site.finding(image_id=image))))
    page.evaluate("document.addEventListener('viewer:box-drawn', (event) => { window.box = event.detail; })")
    page.evaluate("document.dispatchEvent(new CustomEvent('review:draw'))")
    expect(page.locator("[data-show=pose]")).to_have_text("Drag a box around the region")
    drag(page, on_screen(page, 300, 200), on_screen(page, 100, 150))
    assert page.evaluate("box.image") == str(image)
    assert page.evaluate("box.box") == pytest.approx([100, 150, 200, 50], abs=1)
    expect(tool(page, "Move")).to_have_attribute("aria-pressed", "true")


def test_regions_may_be_told_before_the_picture_is_there(site: Site, open_page: Open) -> None:
    image = uuid.uuid4()
    early = """const boxes = [{ image: "%s", box: [10, 10, 100, 50], reader: "A reader", own: false }];
        const show = () => document.dispatchEvent(new CustomEvent("review:boxes", { detail: { boxes } }));
        document.addEventListener("DOMContentLoaded", show);"""
    site.answers["/early.js"] = ("text/javascript", (early % image).encode())
    page = open_page(
        site.page(viewer(site.finding(image_id=image)), head='<script src="/early.js"></script>')
    )
    readers = "document.querySelector('figure.viewer').lightbox.regions.shown.map((region) => region.reader)"
    assert page.evaluate(readers) == ["A reader"]


def test_a_region_by_keyboard_stays_inside_the_picture(page: Page) -> None:
    page.evaluate("document.addEventListener('viewer:box-drawn', (event) => { window.box = event.detail; })")
    page.keyboard.press("a")
    page.evaluate("document.dispatchEvent(new CustomEvent('review:draw'))")
    page.keyboard.press("Enter")
    for _ in range(100):
        page.keyboard.press("ArrowRight")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.evaluate("box.box") == [320, 240, 320, 30]


@pytest.mark.parametrize(("spacing", "degrees"), [(None, "45.0°"), ([0.2, 0.1], "63.4°")])
def test_angle(site: Site, open_page: Open, spacing: list[float] | None, degrees: str) -> None:
    """On the plane that the spacing is for: where rows lie twice as far apart, an angle is another."""
    page = open_page(site.page(viewer(site.finding(spacing=spacing))))
    page.keyboard.press("a")
    page.keyboard.press("g")
    drag(page, (600, 400), (400, 400))
    expect(page.get_by_role("status")).to_have_text("Now the second arm, from the corner")
    drag(page, (450, 350), (500, 300))
    expect(page.get_by_role("status")).to_have_text(f"Angle {degrees}")
    page.keyboard.press("Delete")
    expect(page.get_by_role("status")).to_have_text("Angle removed")


def test_a_point_of_an_angle_can_be_corrected(page: Page) -> None:
    page.keyboard.press("a")
    page.keyboard.press("g")
    drag(page, (600, 400), (400, 400))
    drag(page, (400, 300), (400, 250))
    expect(page.get_by_role("status")).to_have_text("Angle 90.0°")
    drag(page, (401, 251), (200, 400))
    expect(page.get_by_role("status")).to_have_text("Angle 180.0°")


def test_angle_by_keyboard(page: Page) -> None:
    page.keyboard.press("a")
    page.keyboard.press("g")
    page.locator(".viewer-stage").focus()
    page.keyboard.press("Enter")
    for _ in range(6):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Now the second arm, from the corner")
    for _ in range(6):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Angle 90.0°")


def test_an_angle_that_was_not_finished_goes_with_its_tool(page: Page) -> None:
    page.keyboard.press("g")
    drag(page, (600, 400), (400, 400))
    page.keyboard.press("Escape")
    assert page.evaluate("document.querySelector('figure.viewer').lightbox.angles.angles.length") == 0
