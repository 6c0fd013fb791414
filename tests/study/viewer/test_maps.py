"""What the viewer makes of an evidence map, by its modules alone: field, outlines, colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from inference_worker.colours import ramp
from inference_worker.gradcam import evidence
from tests.study.viewer.site import HEIGHT, HOT_COLUMN, HOT_ROW, WIDTH, evidence_map
from xrayportal.dicom.results.regions import OUTLINE_SIDE, hot_regions


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


def spots(*tops: float, below: float = -2.0) -> dict[str, Any]:
    """A map of 12 by 16 cells with one hot cell for each of these values, far apart."""
    values = np.full((12, 16), below)
    for number, top in enumerate(tops):
        values[2 + 7 * (number % 2), 2 + 4 * number] = top
    return {"height": 12, "width": 16, "scale": 2.0, "values": values.ravel().tolist()}


RANDOM = np.random.default_rng(3).normal(size=(6, 12, 16))
MAPS = {
    "one region": (spots(1.5), 1),
    "a second one at four fifths": (spots(1.5, 1.2), 2),
    "another at two thirds": (spots(1.5, 1.0), 1),
    "both beyond the full scale": (spots(6.0, 3.9), 1),
    "no evidence": (spots(), 0),
    **{f"noise {n}": ({**spots(), "values": noise.ravel().tolist()}, None) for n, noise in enumerate(RANDOM)},
}


@pytest.mark.parametrize("name", MAPS)
def test_the_outlined_regions_are_those_that_go_back_to_a_pacs(
    modules: Callable[[str], Any], name: str
) -> None:
    signed, regions = MAPS[name]
    for columns, rows in ((WIDTH, HEIGHT), (100, 300)):
        drawn = modules(
            f"""(() => {{
              const shown = new heatmap.Heatmap({signed}, {{ width: {columns}, height: {rows} }});
              return [...(shown.outline(0)?.inside ?? [])];
            }})()"""
        )
        sent = hot_regions(signed, columns, rows)
        assert max(sent.shape) == OUTLINE_SIDE
        here = np.array(drawn or np.zeros(sent.size), np.uint8).reshape(sent.shape)
        # Both sample in single precision, not in the same order.
        assert np.mean((here > 0) != (sent > 0)) < 1e-3
        count = cv2.connectedComponents(here, connectivity=4)[0] - 1
        assert count == sent.max() == (count if regions is None else regions)


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
