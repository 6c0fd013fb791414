"""What people do with the viewer: tools, keys, touch, no JavaScript, swaps of what is beside it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.test import override_settings
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from tests.browser.viewer_site import HEIGHT, MARKER, ROOT, WIDTH, Site, viewer

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with override_settings(ROOT_URLCONF="tests.browser.viewer_site"):
        site = Site()
        yield site
        site.close()


@pytest.fixture
def errors() -> list[str]:
    return []


@pytest.fixture
def open_page(browser: Browser, errors: list[str]) -> Iterator[Open]:
    """Opens an address and waits for its viewers; at the end nothing may have gone wrong in the page."""
    contexts: list[BrowserContext] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    def start(address: str, *, ready: bool = True, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1100, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        if ready:
            for figure in page.locator("figure.viewer").all():
                expect(figure).to_have_attribute("data-ready", "")
        return page

    yield start
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def page(site: Site, open_page: Open) -> Page:
    """A study page with one viewer whose picture has 0.2 mm rows and 0.1 mm columns."""
    return open_page(site.page(viewer(site.finding())))


def tool(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def expect_figures(place: Page | Locator, words: str) -> None:
    """The corner of the picture says this zoom, window width or level; it follows with the next frame."""
    expect(place.locator("[data-show=figures]")).to_contain_text(words)


def on_screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a picture point of a fitted, upright picture is on the page."""
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


# --- keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "name"),
    [("h", "Heatmap"), ("c", "Contour of the hottest region"), ("p", "Peak"), ("i", "Invert")],
)
def test_a_key_switches_as_its_button_does(page: Page, key: str, name: str) -> None:
    before = tool(page, name).get_attribute("aria-pressed")
    page.keyboard.press(key)
    expect(tool(page, name)).to_have_attribute("aria-pressed", "false" if before == "true" else "true")
    tool(page, name).click()
    expect(tool(page, name)).to_have_attribute("aria-pressed", str(before))


def test_turning_and_mirroring_is_written_on_the_picture(page: Page) -> None:
    words = page.locator("[data-show=pose]")
    expect(words).to_be_hidden()
    page.keyboard.press("r")
    page.keyboard.press("m")
    page.keyboard.press("i")
    expect(words).to_have_text("Mirrored · Turned 270° · Inverted")
    page.keyboard.press("x")
    expect(words).to_be_hidden()


def test_zoom_keys(page: Page) -> None:
    expect_figures(page, "131 %")
    page.keyboard.press("a")
    expect_figures(page, "100 %")
    page.keyboard.press("+")
    expect_figures(page, "125 %")
    page.keyboard.press("-")
    page.keyboard.press("-")
    expect_figures(page, "80 %")
    page.keyboard.press("0")
    expect_figures(page, "131 %")


def test_keys_are_text_in_a_text_field_and_the_browsers_with_ctrl(page: Page) -> None:
    page.locator("#comment").fill("")
    page.keyboard.type("hira")
    expect(page.locator("#comment")).to_have_value("hira")
    expect(tool(page, "Heatmap")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-show=pose]")).to_be_hidden()
    page.keyboard.press("Control+a")
    page.locator("#comment").blur()
    page.keyboard.press("Control+i")
    expect(page.locator("[data-show=pose]")).to_be_hidden()


def test_the_toolbar_is_one_tab_stop(page: Page) -> None:
    tool(page, "Move").focus()
    page.keyboard.press("ArrowRight")
    expect(tool(page, "Window and level")).to_be_focused()
    page.keyboard.press("End")
    expect(tool(page, "Full screen")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(tool(page, "Move")).to_be_focused()
    page.keyboard.press("Tab")
    expect(tool(page, "Heatmap")).to_be_focused()


def test_every_announced_shortcut_is_announced_once(page: Page) -> None:
    lists = page.locator("[aria-keyshortcuts]").evaluate_all("all => all.map(one => one.ariaKeyShortcuts)")
    keys = " ".join(lists).split()
    assert len(keys) == len(set(keys))


# --- window and level -----------------------------------------------------------------------------


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


# --- ruler ----------------------------------------------------------------------------------------


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


# --- regions for the review panel -------------------------------------------------------------------


def test_a_region_is_drawn_when_the_review_panel_asks_and_told_in_picture_pixels(
    site: Site, open_page: Open
) -> None:
    image = uuid.uuid4()
    page = open_page(site.page(viewer(site.finding(image_id=image))))
    page.evaluate("document.addEventListener('viewer:box-drawn', (event) => { window.told = event.detail; })")
    page.evaluate("document.dispatchEvent(new CustomEvent('review:draw'))")
    expect(page.locator("[data-show=pose]")).to_have_text("Drag a box around the region")
    drag(page, on_screen(page, 300, 200), on_screen(page, 100, 150))
    assert page.evaluate("told.image") == str(image)
    assert page.evaluate("told.box") == pytest.approx([100, 150, 200, 50], abs=1)
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
    shown = "document.querySelector('figure.viewer').lightbox.regions.shown.map((region) => region.reader)"
    assert page.evaluate(shown) == ["A reader"]


def test_a_region_by_keyboard_stays_inside_the_picture(page: Page) -> None:
    page.evaluate("document.addEventListener('viewer:box-drawn', (event) => { window.told = event.detail; })")
    page.keyboard.press("a")
    page.evaluate("document.dispatchEvent(new CustomEvent('review:draw'))")
    page.keyboard.press("Enter")
    for _ in range(100):
        page.keyboard.press("ArrowRight")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.evaluate("told.box") == [320, 240, 320, 30]


# --- what is not there ----------------------------------------------------------------------------


def test_without_javascript_the_heatmap_lies_over_the_picture(site: Site, open_page: Open) -> None:
    page = open_page(site.page(viewer(site.finding())), ready=False, java_script_enabled=False)
    picture, overlay = page.locator(".viewer-picture"), page.locator(".viewer-overlay")
    expect(picture).to_have_attribute("alt", "Radiograph, 640 by 480 pixels")
    expect(overlay).to_have_attribute("alt", re.compile("strongest 72 % from the left and 29 % from the top"))
    assert picture.bounding_box() == overlay.bounding_box()
    expect(page.get_by_role("toolbar")).to_be_hidden()


def test_an_unsupported_picture_has_no_heatmap_tools(site: Site, open_page: Open) -> None:
    finding = site.finding(
        verdict="unsupported", probability=None, trust=None, map_file="", peak_x=None, peak_y=None
    )
    page = open_page(site.page(viewer(finding)))
    expect(page.get_by_role("group", name="Heatmap")).to_have_count(0)
    page.keyboard.press("h")
    expect(tool(page, "Zoom in")).to_be_enabled()


def test_a_blind_reader_gets_nothing_of_the_prediction(site: Site) -> None:
    html = viewer(site.finding(), blind=True)
    for word in ("overlay", "/map", "peak", "trust", "0.82", "Heatmap<", "abnormal"):
        assert word not in html, word
    assert 'id="viewer-blind-' in html  # a swap must not keep the blind one in place of the other


def test_a_missing_map_is_said_and_the_picture_stays(site: Site, open_page: Open, errors: list[str]) -> None:
    finding = site.finding()
    del site.answers[f"/files/east/{finding.id}/map"]
    page = open_page(site.page(viewer(finding)))
    expect(page.get_by_role("alert")).to_have_text(
        "The heatmap could not be loaded. Reload the page to try again."
    )
    expect(tool(page, "Heatmap")).to_be_disabled()
    page.keyboard.press("a")
    expect_figures(page, "100 %")
    assert len(errors) == 2  # the 404 itself, and its cause
    errors.clear()


def test_a_missing_picture_is_said(site: Site, open_page: Open, errors: list[str]) -> None:
    finding = site.finding()
    del site.answers[f"/files/east/{finding.id}/display"]
    page = open_page(site.page(viewer(finding)), ready=False)
    expect(page.get_by_role("alert")).to_contain_text("The radiograph could not be loaded")
    errors.clear()


def test_every_module_is_loaded_at_once(site: Site) -> None:
    head = render_to_string("viewer/_head.html")
    named = set(re.findall(r'href="/static/viewer/(\w+)\.js"', head))
    assert named == {file.stem for file in (ROOT / "static/viewer").glob("*.js")} - {"viewer"}


# --- together with the rest of the page -------------------------------------------------------------


HTMX = """<script defer src="/static/vendor/htmx/htmx.min.js"></script>
<script defer src="/static/vendor/idiomorph/idiomorph-ext.min.js"></script>
<script defer src="/static/js/portal.js"></script>
<meta name="htmx-config" content='{"includeIndicatorStyles": false, "allowEval": false}'>"""


@pytest.mark.parametrize(
    ("swap", "keep"), [("outerHTML", ""), ("morph:outerHTML", ""), ("morph:outerHTML", "data-keep")]
)
def test_a_swap_around_the_viewer_keeps_it_as_it_was(
    site: Site, open_page: Open, swap: str, keep: str
) -> None:
    first, later = site.finding(), site.finding()
    begin = f"<div id='result' hx-ext='morph'><div id='keep-first' {keep}>{viewer(first)}</div>"
    fragment = f"{begin}<p>Verdict</p><div id='keep-later' {keep}>{viewer(later)}</div></div>"
    site.answers["/fragment"] = ("text/html; charset=utf-8", fragment.encode())
    page = open_page(site.page(begin, "</div>", head=HTMX))
    page.keyboard.press("a")
    page.keyboard.press("r")
    page.evaluate(f"htmx.ajax('GET', '/fragment', {{target: '#result', swap: '{swap}'}})")
    expect(page.get_by_text("Verdict")).to_be_visible()
    both = page.locator("figure.viewer")
    expect(both).to_have_count(2)
    expect(both.nth(1)).to_have_attribute("data-ready", "")
    expect_figures(both.nth(0), "100 %")
    expect(both.nth(0).locator("[data-show=pose]")).to_have_text("Turned 90°")
    expect(both.nth(1).locator("[data-show=pose]")).to_be_hidden()
    tool(both.nth(0), "Rotate by 90°").click()
    expect(both.nth(0).locator("[data-show=pose]")).to_have_text("Turned 180°")


def test_linked_viewers_share_zoom_until_one_is_let_go(site: Site, open_page: Open) -> None:
    pair = [viewer(site.finding(), link="pair", name=name) for name in ("Now", "Earlier")]
    page = open_page(site.page("<div class='viewer-pair'>", *pair, "</div>"))
    now, earlier = page.locator("figure.viewer").all()
    tool(now, "1:1 (actual pixels)").click()
    expect_figures(earlier, "100 %")
    tool(earlier, "Move views together").click()
    tool(now, "Zoom in").click()
    expect_figures(now, "125 %")
    expect_figures(earlier, "100 %")


def test_choices_are_remembered_and_the_heatmap_starts_shown(site: Site, open_page: Open) -> None:
    page = open_page(site.page(viewer(site.finding())))
    page.get_by_label("Colours").select_option("jet")
    page.get_by_label("Opacity").fill("35")
    page.keyboard.press("h")
    page.reload()
    expect(page.locator("figure.viewer")).to_have_attribute("data-ready", "")
    expect(page.get_by_label("Colours")).to_have_value("jet")
    expect(page.get_by_label("Opacity")).to_have_attribute("aria-valuetext", "35 %")
    expect(tool(page, "Heatmap")).to_have_attribute("aria-pressed", "true")


def test_full_screen_and_back(page: Page) -> None:
    page.keyboard.press("f")
    expect(tool(page, "Full screen")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("f")
    expect(tool(page, "Full screen")).to_have_attribute("aria-pressed", "false")


# --- a phone ----------------------------------------------------------------------------------------


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
    assert phone.evaluate(middle) > at + 20
