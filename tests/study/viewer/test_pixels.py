"""The viewer's drawing, read back from its canvases: alignment, greys, heatmap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.study.viewer.conftest import Tabs
from tests.study.viewer.site import (
    GRID_WIDTH,
    HEIGHT,
    MARKER,
    WIDTH,
    Site,
    viewer,
)
from tests.waiting import wait_until

#: Draws, then measures: where the white marker and the heatmap are, in CSS pixels of the stage.
MEASURE = """() => {
  const lightbox = document.querySelector("figure.viewer").lightbox;
  const { stage } = lightbox;
  stage.draw();
  const ratio = devicePixelRatio;
  const read = (canvas) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const context = copy.getContext("2d");
    context.drawImage(canvas, 0, 0);
    return context.getImageData(0, 0, copy.width, copy.height);
  };
  // Only every fourth number: alpha.
  const strongest = ({ data }) => {
    let most = 0;
    for (let i = 3; i < data.length; i += 4) if (data[i] > most) most = data[i];
    return most;
  };
  const middle = ({ data, width }, weigh) => {
    let x = 0, y = 0, sum = 0;
    for (let i = 0; i < data.length; i += 4) {
      const weight = weigh(data[i], data[i + 3]);
      x += weight * ((i / 4) % width + 0.5);
      y += weight * (Math.floor(i / 4 / width) + 0.5);
      sum += weight;
    }
    return { x: x / sum / ratio, y: y / sum / ratio, pixels: sum };
  };
  const picture = read(stage.surface.canvas);
  const marks = read(stage.overlay);
  const grey = ([x, y]) => picture.data[4 * (Math.round(y * ratio) * picture.width + Math.round(x * ratio))];
  const stageSize = { width: stage.element.clientWidth, height: stage.element.clientHeight };
  return {
    surface: stage.surface.constructor.name,
    stage: stageSize,
    marker: middle(picture, (red) => (red > 240 ? 1 : 0)),
    heat: middle(marks, (_, alpha) => (alpha > 60 ? alpha : 0)),
    covered: middle(marks, (_, alpha) => (alpha > 0 ? 1 : 0)).pixels,
    strongest: strongest(marks),
    middleGrey: grey([stageSize.width / 2, stageSize.height / 2]),
  };
}"""

#: WebGL without a graphics card, which the viewer would not choose; and no WebGL at all.
WEBGL = {
    "TextureSurface": """const usual = WebGL2RenderingContext.prototype.getParameter;
        WebGL2RenderingContext.prototype.getParameter = function (name) {
          return name === 0x9246 ? "A graphics card" : usual.call(this, name);
        };""",
    "PlainSurface": """const usual = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, options) {
          return kind === "webgl2" ? null : usual.call(this, kind, options);
        };""",
}


@dataclass(frozen=True)
class Measured:
    surface: str
    stage: dict[str, float]
    marker: dict[str, float]
    heat: dict[str, float]
    covered: float
    strongest: float
    middleGrey: int


@pytest.fixture(params=["TextureSurface", "PlainSurface"])
def page(request: pytest.FixtureRequest, site: Site, tabs: Tabs) -> Page:
    """A viewer, once with WebGL and once without it; two screen pixels to the CSS pixel."""
    page = tabs.tab(
        script=WEBGL[request.param], viewport={"width": 640, "height": 560}, device_scale_factor=2
    )
    page.goto(site.page(viewer(site.finding())))
    expect(page.locator("figure.viewer")).to_have_attribute("data-ready", "")
    assert measure(page).surface == request.param
    return page


def measure(page: Page) -> Measured:
    return Measured(**page.evaluate(MEASURE))


def until(page: Page, condition: str) -> None:
    """Waits for a condition of the page; Playwright's own wait needs the `eval` that the policy forbids."""
    wait_until(page, lambda: page.evaluate(condition))


def alphas(page: Page, places: list[tuple[float, float]]) -> list[int]:
    """How opaque what is drawn over the picture is, 0 to 255, at places of the stage."""
    page.evaluate("document.querySelector('figure.viewer').lightbox.stage.draw()")
    found: list[int] = page.evaluate(
        """(places) => {
          const canvas = document.querySelector(".viewer-marks");
          const context = canvas.getContext("2d");
          return places.map((at) => {
            const [x, y] = at.map((one) => one * devicePixelRatio);
            return context.getImageData(x, y, 1, 1).data[3];
          });
        }""",
        places,
    )
    return found


def fitted(
    stage: dict[str, float],
    *,
    turns: int = 0,
    mirrored: bool = False,
    at: tuple[float, float] = MARKER,
) -> tuple[float, float]:
    """Where a point must be on a fitted picture: mirrored left to right, then turned clockwise."""
    x, y = at
    width, height = WIDTH, HEIGHT
    if mirrored:
        x = width - x
    for _ in range(turns):
        x, y = height - y, x
        width, height = height, width
    scale = min(stage["width"] / width, stage["height"] / height)
    return (
        (stage["width"] - width * scale) / 2 + x * scale,
        (stage["height"] - height * scale) / 2 + y * scale,
    )


def place(spot: dict[str, float]) -> Any:
    return pytest.approx((spot["x"], spot["y"]), abs=0.75)


# --- alignment --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "turns", "mirrored"),
    [("", 0, False), ("r", 1, False), ("rr", 2, False), ("rrr", 3, False), ("m", 0, True), ("mr", 1, True)],
)
def test_marker_and_heat_are_where_they_belong_turned_and_mirrored(
    page: Page, keys: str, turns: int, mirrored: bool
) -> None:
    for key in keys:
        page.keyboard.press(key)
    measured = measure(page)
    expected = fitted(measured.stage, turns=turns, mirrored=mirrored)
    assert expected == place(measured.marker)
    assert expected == place(measured.heat)


def test_marker_and_heat_stay_together_and_under_the_cursor_while_zooming(page: Page) -> None:
    page.keyboard.press("r")
    start = measure(page).marker
    box = page.locator(".viewer-stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + start["x"], box["y"] + start["y"])
    for _ in range(6):
        page.mouse.wheel(0, -120)
    until(page, "document.querySelector('figure.viewer').lightbox.view.scale > 1")
    measured = measure(page)
    # Playwright puts the mouse on whole pixels, so up to half a pixel may have grown threefold.
    assert (measured.marker["x"], measured.marker["y"]) == pytest.approx((start["x"], start["y"]), abs=2)
    assert (measured.marker["x"], measured.marker["y"]) == place(measured.heat)


def test_dragging_moves_marker_and_heat_alike(page: Page) -> None:
    before = measure(page).marker
    page.mouse.move(300, 300)
    page.mouse.down()
    page.mouse.move(260, 370, steps=5)
    page.mouse.up()
    after = measure(page)
    assert (before["x"] - 40, before["y"] + 70) == place(after.marker)
    assert (before["x"] - 40, before["y"] + 70) == place(after.heat)


# --- greys --------------------------------------------------------------------------------------------


def test_window_level_and_invert_change_the_greys(page: Page) -> None:
    page.keyboard.press("h")
    assert measure(page).middleGrey == pytest.approx(90, abs=1)
    page.locator(".viewer-stage").focus()
    page.keyboard.press("w")
    for _ in range(10):
        page.keyboard.press("ArrowLeft")  # the window is now 215 wide
    for _ in range(5):
        page.keyboard.press("ArrowUp")  # and its level is 107.5, so it starts at 0
    expected = (90 - 0) / 215 * 255
    assert measure(page).middleGrey == pytest.approx(expected, abs=1)
    page.keyboard.press("i")
    assert measure(page).middleGrey == pytest.approx(255 - expected, abs=1)
    page.keyboard.press("x")
    assert measure(page).middleGrey == pytest.approx(90, abs=1)


def test_a_lost_graphics_card_leaves_the_picture(page: Page) -> None:
    page.evaluate(
        """() => document.querySelector("figure.viewer").lightbox.stage.surface.gl
             ?.getExtension("WEBGL_lose_context").loseContext()"""
    )
    until(
        page,
        "document.querySelector('figure.viewer').lightbox.stage.surface.constructor.name === 'PlainSurface'",
    )
    expect(page.locator(".viewer-radiograph")).to_have_count(1)
    assert measure(page).middleGrey == pytest.approx(90, abs=1)


# --- heatmap ------------------------------------------------------------------------------------------


def test_h_takes_everything_of_the_model_off_the_picture(page: Page) -> None:
    assert measure(page).covered > 0
    page.keyboard.press("h")
    assert measure(page).covered == 0


def test_the_outline_leaves_the_bone_to_be_judged(page: Page) -> None:
    """A light fill, a line around it, and the peak's marks outside of it; all gone while U is held."""
    x, y = fitted(measure(page).stage)
    # From 4 in the hot cell's middle to nothing in its neighbour's, half of it is reached half-way.
    # The line's corners are rounded, which takes it inwards by a part of a pixel.
    edge = fitted(measure(page).stage, at=(MARKER[0] + 0.5 * WIDTH / GRID_WIDTH, MARKER[1]))[0] - 1
    outlined = alphas(page, [(x, y), (edge, y), (edge + 8, y), (edge + 30, y)])
    assert outlined == [pytest.approx(0.6 * 0.25 * 255, abs=2), 255, 255, 0]
    page.keyboard.press("p")
    assert alphas(page, [(edge, y), (edge + 8, y)]) == [255, 0]
    page.keyboard.down("u")
    assert measure(page).covered == 0
    page.keyboard.up("u")
    assert measure(page).covered > 0


def test_threshold_and_opacity(page: Page) -> None:
    page.keyboard.press("c")
    page.keyboard.press("p")
    whole = measure(page)
    page.get_by_label("Threshold").fill("45")
    hottest = measure(page)
    assert 0 < hottest.covered < 0.7 * whole.covered
    # No sample lies exactly on the hot cell's middle, so a little is missing.
    assert hottest.strongest == whole.strongest == pytest.approx(0.6 * 255, abs=6)
    page.get_by_label("Opacity").fill("30")
    assert measure(page).strongest == pytest.approx(0.3 * 255, abs=4)
