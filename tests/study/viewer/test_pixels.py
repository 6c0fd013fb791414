"""The viewer's drawing, read back from its canvases: alignment, greys, heatmap, contour, colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from inference_worker.colours import ramp
from inference_worker.gradcam import evidence
from tests.study.viewer.conftest import Tabs
from tests.study.viewer.site import (
    GRID_WIDTH,
    HEIGHT,
    HOT_COLUMN,
    HOT_ROW,
    MARKER,
    WIDTH,
    Site,
    evidence_map,
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
    # From 4 in the hot cell's middle to -1 in its neighbour's, half of it is reached after 0.4.
    edge = fitted(measure(page).stage, at=(MARKER[0] + 0.4 * WIDTH / GRID_WIDTH, MARKER[1]))[0]
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


def test_the_field_is_the_one_the_stored_overlay_shows(modules: Callable[[str], Any]) -> None:
    field = modules(
        f"""(() => {{
          const map = {evidence_map().decode()};
          const layer = new heatmap.Heatmap(map, {{ width: {WIDTH}, height: {HEIGHT} }});
          return [layer.width, layer.height, [...layer.evidence]];
        }})()"""
    )
    width, height, values = field
    signed = np.full((12, 16), -1.0, np.float32)
    signed[HOT_ROW, HOT_COLUMN] = 4.0
    signed[10, 2] = 0.8
    assert (width, height) == (512, 384)
    ours = np.array(values).reshape(height, width)
    np.testing.assert_allclose(ours, evidence(signed, 2.0, width, height), atol=1e-4)


def test_outlines_are_closed_and_of_the_hot_regions_alone(modules: Callable[[str], Any]) -> None:
    loops = modules(
        """(() => {
          const field = new Float32Array(40 * 20);
          const spot = (cx, cy, top) => {
            for (let y = 0; y < 20; y += 1) for (let x = 0; x < 40; x += 1) {
              const value = top - 0.2 * Math.hypot(x + 0.5 - cx, y + 0.5 - cy);
              field[y * 40 + x] = Math.max(field[y * 40 + x], value);
            }
          };
          spot(8.5, 10.5, 1);
          spot(21.5, 10.5, 0.9);
          spot(33.5, 10.5, 0.7);
          return contour.hotRegions(field, 40, 20, 0.5, 0.75).loops;
        })()"""
    )
    assert len(loops) == 2
    for loop, middle, expected in zip(loops, (8.5, 21.5), (2.5, 2.0), strict=True):
        points = np.array(loop).reshape(-1, 2)
        assert len(points) > 12
        np.testing.assert_allclose(np.hypot(*(points - (middle, 10.5)).T), expected, atol=0.15)
        # From each point to the next is a step of one cell at most, also from the last to the first.
        assert np.hypot(*(points - np.roll(points, 1, axis=0)).T).max() < 1.5


def test_an_outline_closes_at_the_edge_and_around_a_hole(modules: Callable[[str], Any]) -> None:
    (loop,) = modules("contour.hotRegions(Float32Array.of(1, 1, 0, 0, 1, 1, 0, 0), 4, 2, 0.5, 1).loops")
    points = np.array(loop).reshape(-1, 2)
    assert points.min(axis=0) == pytest.approx((0, 0))
    assert points.max(axis=0) == pytest.approx((2, 2))
    assert modules(f"contour.smooth({loop}, 3)") == loop  # too short for it
    square = [*(f"{i}, 0" for i in range(12)), *(f"12, {i}" for i in range(12))]
    square += [*(f"{12 - i}, 12" for i in range(12)), *(f"0, {12 - i}" for i in range(12))]
    rounded = np.array(modules(f"contour.smooth([{', '.join(square)}], 4)")).reshape(-1, 2)
    np.testing.assert_allclose(rounded[[0, 6]], [(10 / 9, 10 / 9), (6, 0)])
    ring = modules("contour.hotRegions(Float32Array.of(1, 1, 1, 1, 0, 1, 1, 1, 1), 3, 3, 0.5, 1).loops")
    assert sorted(len(loop) // 2 for loop in ring) == [4, 12]
    assert modules("contour.hotRegions(new Float32Array(8), 4, 2, 0.5, 1).loops") == []


def test_nothing_and_what_the_threshold_hides_has_no_outline(modules: Callable[[str], Any]) -> None:
    outlined = """[[-1, 0, 0], [-1, 1, 0]].map((values) => {
      const shown = new heatmap.Heatmap({ width: 3, height: 1, scale: 2, values }, { width: 30, height: 10 });
      return [0, 0.4, 0.6].map((threshold) => shown.outline(threshold) !== null);
    })"""
    assert modules(outlined) == [[False, False, False], [True, True, False]]


# --- colours ------------------------------------------------------------------------------------------


def test_the_usual_colours_are_those_of_the_stored_overlay(modules: Callable[[str], Any]) -> None:
    table = np.array(modules("[...colours.colours('uniform')]")).reshape(256, 3)
    assert np.abs(table - ramp().astype(int)).max() <= 1


@pytest.mark.parametrize("name", ["uniform", "safe"])
def test_lightness_only_rises(modules: Callable[[str], Any], name: str) -> None:
    table = np.array(modules(f"[...colours.colours('{name}')]")).reshape(256, 3) / 255
    linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > -1e-3).all()
    assert luminance[-1] > 0.7
    assert luminance[0] < 0.06
