"""Windowing at the stored depth: loaded when it is first needed, exact, with and without a graphics card."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.network import hold, intercept
from tests.study.viewer.conftest import Tabs
from tests.study.viewer.hands import Open, drag, expect_figures, on_screen
from tests.study.viewer.site import DEEP, WIDTH, WINDOW, Site, deep_file, encode, viewer
from tests.study.viewer.test_pixels import WEBGL
from tests.waiting import wait_until

SURFACES = {"TextureSurface": "TextureSurface", "PlainSurface": "DeepPlainSurface"}
#: The grey levels in the middle of the stage, across the picture.
GREYS = """() => {
  const { stage, view } = document.querySelector("figure.viewer").lightbox;
  stage.draw();
  const { canvas } = stage.surface;
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext("2d");
  context.drawImage(canvas, 0, 0);
  const { data } = context.getImageData(0, Math.round(canvas.height / 2), canvas.width, 1);
  return Array.from({ length: 31 }, (_, i) => {
    const x = view.toScreen(20 * (i + 0.5), 0).x * devicePixelRatio;
    return data[4 * Math.round(x)];
  });
}"""
PLACES = [round(20 * (i + 0.5)) for i in range(31)]


def shown(codes: np.ndarray, low: float, width: float) -> np.ndarray:
    return np.asarray(255 * np.clip((codes - low) / width, 0, 1))


def expect_greys(page: Page, expected: np.ndarray, within: float = 3) -> None:
    greys: list[int] = page.evaluate(GREYS)
    assert np.abs(np.array(greys) - expected).max() <= within, greys


def surface(page: Page) -> str:
    name: str = page.evaluate(
        "document.querySelector('figure.viewer').lightbox.stage.surface.constructor.name"
    )
    return name


def deep_page(site: Site, page: Page, codes: np.ndarray = DEEP, **window: Any) -> Page:
    """A viewer of a deep picture and the display picture that its window as sent makes of it."""
    scale = {**WINDOW, **window}
    finding = site.finding(depth_file="depth", depth=scale, map_file="", overlay_file="")
    low = scale["level"] - scale["width"] / 2
    display = np.rint(shown(codes, low, scale["width"])).astype(np.uint8)
    site.answers[f"/files/east/{finding.id}/display"] = ("image/png", encode(Image.fromarray(display)))
    site.answers[f"/files/east/{finding.id}/depth"] = ("image/png", deep_file(codes))
    page.goto(site.page(viewer(finding)))
    expect(page.locator("figure.viewer")).to_have_attribute("data-ready", "")
    return page


@pytest.fixture(params=["TextureSurface", "PlainSurface"])
def tab(request: pytest.FixtureRequest, tabs: Tabs) -> Page:
    viewport = {"width": 640, "height": 560}
    return tabs.tab(script=WEBGL[request.param], viewport=viewport, device_scale_factor=2)


def test_what_the_window_as_sent_leaves_out_comes_back(site: Site, tab: Page) -> None:
    page = deep_page(site, tab)
    kind = surface(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    codes = DEEP[0, PLACES].astype(float)
    expect_figures(page, "W 1024 L 1024")
    expect_greys(page, shown(codes, 1535.5, 1024))
    assert not asked  # the stored depth comes when it is needed
    page.get_by_label("Window", exact=True).select_option("full")
    expect(page.locator("figure.viewer")).to_have_attribute("data-deep", "")
    assert [url.rpartition("/")[2] for url in asked] == ["depth"]
    assert surface(page) == SURFACES[kind]
    expect_figures(page, "W 4095 L 1024")
    expect_greys(page, shown(codes, 0, 4095))
    page.keyboard.press("i")
    expect_greys(page, 255 - shown(codes, 0, 4095))
    page.keyboard.press("x")
    expect_greys(page, shown(codes, 1535.5, 1024))


def test_presets_follow_each_other(site: Site, tab: Page) -> None:
    page = deep_page(site, tab)
    codes = DEEP[0, PLACES].astype(float)
    choice = page.get_by_label("Window", exact=True)
    for value, low, width in (("bone", 1791.5, 1024), ("soft", 1279.5, 819.2), ("full", 0, 4095)):
        page.keyboard.press("b")
        expect(choice).to_have_value(value)
        expect(page.locator("figure.viewer")).to_have_attribute("data-deep", "")
        expect_greys(page, shown(codes, low, width))
    page.keyboard.press("b")
    expect(choice).to_have_value("sent")


def test_a_drag_is_in_the_pictures_own_numbers(site: Site, tab: Page) -> None:
    page = deep_page(site, tab)
    page.keyboard.press("w")
    expect(page.locator("figure.viewer")).to_have_attribute("data-deep", "")
    x, y = on_screen(page, 100, 100)
    drag(page, (x, y), (x + 51, y - 51))  # a fifth of the window as sent
    expect(page.get_by_role("status")).to_have_text("Window width 1229, level 819")
    expect(page.get_by_label("Window", exact=True)).to_have_value("")
    expect_greys(page, shown(DEEP[0, PLACES].astype(float), 2047.5 - 204.8 - 614.4, 1228.8))


def test_until_the_depth_is_there_the_display_picture_is_windowed_alike(site: Site, tab: Page) -> None:
    page = deep_page(site, tab)
    intercept(page, "**/depth", hold)
    x, y = on_screen(page, 100, 100)
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x - 51, y)
    page.mouse.up(button="right")
    codes = np.clip(DEEP[0, PLACES].astype(float), 1535.5, 2559.5)
    expect_greys(page, shown(codes, 2047.5 - 409.6, 819.2))
    page.unroute("**/depth")


def test_a_depth_that_fails_is_told_and_tried_again(site: Site, tabs: Tabs) -> None:
    page = deep_page(site, tabs.tab(viewport={"width": 640, "height": 560}))
    intercept(page, "**/depth", lambda route: route.fulfill(status=500))
    page.keyboard.press("b")
    expect(page.get_by_role("alert")).to_contain_text("could not be loaded")
    page.unroute("**/depth")
    page.keyboard.press("b")
    expect(page.locator("figure.viewer")).to_have_attribute("data-deep", "")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_masked_pixels_stay_black_and_curves_keep_their_shape(site: Site, tab: Page) -> None:
    codes = DEEP.copy()
    codes[:, 300:340] = 0
    codes[:, :300] = np.maximum(codes[:, :300], 1)
    curve = [round(255 * (i / 255) ** 2) for i in range(256)]
    page = deep_page(site, tab, codes, is_masked=True, curve=curve)
    page.get_by_label("Window", exact=True).select_option("full")
    expect(page.locator("figure.viewer")).to_have_attribute("data-deep", "")
    row = codes[0, PLACES].astype(float)
    expected = np.where(row == 0, 0, 255 * (row / 4095) ** 2)
    expect_greys(page, expected, 4)
    page.get_by_label("Window", exact=True).select_option("soft")
    low = 1535.5 - 0.25 * 1024
    expected = 255 * np.clip((row - low) / (0.8 * 1024), 0, 1) ** 2
    expect_greys(page, np.where(row == 0, 0, expected), 4)


def test_moving_and_turning_a_deep_picture(site: Site, tab: Page) -> None:
    """The part beyond the screen is windowed as it comes into sight, at every step of the pyramid."""
    page = deep_page(site, tab)
    page.get_by_label("Window", exact=True).select_option("full")
    expect(page.locator("figure.viewer")).to_have_attribute("data-deep", "")
    codes = DEEP[0].astype(float)
    for keys, middle in (("++++", 320), ("", 320), ("-------", 320), ("0rr", 320), ("rrm", 320)):
        for key in keys:
            page.keyboard.press(key)
        x, _ = middle_of(page)
        assert abs(x - middle) < 2
        grey = page.evaluate(MIDDLE)
        assert abs(grey - shown(codes[round(x)], 0, 4095)) <= 4
    page.keyboard.press("0")
    for _ in range(8):
        page.keyboard.press("+")
    page.locator(".viewer-stage").focus()
    page.keyboard.press("v")
    for _ in range(30):
        page.keyboard.press("ArrowRight")
        x, _ = middle_of(page)
        assert abs(page.evaluate(MIDDLE) - shown(codes[min(WIDTH - 1, round(x))], 0, 4095)) <= 4


MIDDLE = """() => {
  const { stage } = document.querySelector("figure.viewer").lightbox;
  stage.draw();
  const { canvas } = stage.surface;
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext("2d");
  context.drawImage(canvas, 0, 0);
  return context.getImageData(Math.round(canvas.width / 2), Math.round(canvas.height / 2), 1, 1).data[0];
}"""


def middle_of(page: Page) -> tuple[float, float]:
    point = page.evaluate("document.querySelector('figure.viewer').lightbox.view.middle()")
    return point["x"], point["y"]


def test_a_lost_graphics_card_leaves_the_depth(site: Site, tab: Page) -> None:
    page = deep_page(site, tab)
    page.get_by_label("Window", exact=True).select_option("full")
    expect(page.locator("figure.viewer")).to_have_attribute("data-deep", "")
    page.evaluate(
        """() => document.querySelector("figure.viewer").lightbox.stage.surface.gl
             ?.getExtension("WEBGL_lose_context").loseContext()"""
    )
    wait_until(page, lambda: surface(page) == "DeepPlainSurface")
    expect_greys(page, shown(DEEP[0, PLACES].astype(float), 0, 4095))


# --- the decoder ------------------------------------------------------------------------------------


@pytest.fixture
def decoded(site: Site, tabs: Tabs) -> Callable[[bytes], Any]:
    """Decodes a PNG in the browser: its numbers, or the error's message."""
    page = tabs.tab()
    page.goto(site.page())

    def run(file: bytes) -> Any:
        site.answers["/deep.png"] = ("image/png", file)
        return page.evaluate(
            """async () => {
              const { decodePng16 } = await import("/static/study/viewer/png16.js");
              const bytes = new Uint8Array(await (await fetch("/deep.png")).arrayBuffer());
              try {
                const { width, height, values } = await decodePng16(bytes);
                return { width, height, values: [...values] };
              } catch (error) {
                return error.message;
              }
            }"""
        )

    return run


def png(lines: bytes, width: int, height: int, *, depth: int = 16, colour: int = 0, parts: int = 1) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(lines)
    size = -(-len(data) // parts)
    chunks = [(b"IHDR", header), (b"tEXt", b"a\x00b")]
    chunks += [(b"IDAT", data[at : at + size]) for at in range(0, len(data), size)] + [(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def filtered(codes: np.ndarray) -> bytes:
    """The lines of a picture, each with another of PNG's five filters."""
    lines = codes.astype(">u2").view(np.uint8).reshape(len(codes), -1).astype(int)
    out = b""
    for y, line in enumerate(lines):
        above = lines[y - 1] if y else np.zeros_like(line)
        left, corner = np.roll(line, 2), np.roll(above, 2)
        left[:2] = corner[:2] = 0
        guess = left + above - corner
        distances = np.abs(np.stack([guess - left, guess - above, guess - corner]))
        paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
        predicted = [np.zeros_like(line), left, above, (left + above) // 2, paeth][y % 5]
        out += bytes([y % 5]) + ((line - predicted) & 255).astype(np.uint8).tobytes()
    return out


@pytest.mark.parametrize("parts", [1, 7])
def test_every_filter_of_png(decoded: Callable[[bytes], Any], parts: int) -> None:
    codes = np.random.default_rng(1).integers(0, 65536, (37, 23)).astype(np.uint16)
    file = png(filtered(codes), 23, 37, parts=parts)
    assert np.array_equal(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED), codes)
    assert decoded(file) == {"width": 23, "height": 37, "values": codes.ravel().tolist()}


def test_files_of_the_worker(decoded: Callable[[bytes], Any]) -> None:
    for codes in (DEEP[:40], DEEP[:1, :1], DEEP[:3].T.copy()):
        height, width = codes.shape
        assert decoded(deep_file(codes)) == {
            "width": width,
            "height": height,
            "values": codes.ravel().tolist(),
        }


def test_other_files_are_refused(decoded: Callable[[bytes], Any]) -> None:
    lines = filtered(DEEP[:4, :6])
    whole = png(lines, 6, 4)
    assert decoded(b"GIF89a" + bytes(60)) == "No PNG"
    assert decoded(png(lines, 6, 4, depth=8)) == "No grey PNG of 16 bits"
    assert decoded(png(lines, 6, 4, colour=2)) == "No grey PNG of 16 bits"
    assert decoded(png(lines, 6, 9)) == "The PNG ends early"
    assert decoded(png(b"\x09" + lines[1:], 6, 4)) == "The PNG has a filter 9"
    assert isinstance(decoded(whole[:70]), str)


def test_shallow_pictures_ask_for_nothing(site: Site, open_page: Open) -> None:
    page = open_page(site.page(viewer(site.finding())))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_label("Window", exact=True).select_option("bone")
    expect_figures(page, "W 255 L 191")
    assert not asked
    assert page.locator("figure.viewer").get_attribute("data-depth-url") is None
