"""What is at a place in the picture is at that place in the map, and back."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from inference_worker import gradcam, render
from inference_worker.decode import decode
from inference_worker.pipeline import Pipeline
from inference_worker.preprocess import fit, letterbox
from tests.inference_worker.drawing import encoded, stored_as

SIZES = [(128, 128), (373, 454), (454, 373), (1000, 500), (500, 1500), (64, 40), (900, 31), (3, 700)]
SIZE, CELLS = 320, 20


def network_map(square: np.ndarray, cells: int) -> np.ndarray:
    """Mean brightness of each cell: what a network sees of the square at that cell."""
    side = square.shape[0] // cells
    return square.reshape(cells, side, cells, side).mean(axis=(1, 3)).astype(np.float32)


def with_dot(width: int, height: int, x: int, y: int) -> np.ndarray:
    """Grey stripes that use the whole range, so that the contrast is left alone, and a bright square."""
    picture = np.full((height, width), 100, np.uint8)
    picture[::7] = 0
    radius = max(1, round(max(width, height) / 30))
    picture[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1] = 255
    return picture


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(("across", "down"), [(0.1, 0.1), (0.5, 0.5), (0.85, 0.3), (0.3, 0.95)])
def test_a_dot_comes_back_where_it_was(width: int, height: int, across: float, down: float) -> None:
    x, y = int(width * across), int(height * down)
    square, geometry = letterbox(with_dot(width, height, x, y), SIZE)
    signed = gradcam.crop(network_map(square, CELLS), geometry)
    found_x, found_y = gradcam.peak(signed, width, height)
    cell = max(width, height) / CELLS
    assert abs(found_x - x) <= cell
    assert abs(found_y - y) <= cell
    layer = gradcam.evidence(signed, 255.0, width, height)
    assert layer.shape == (height, width)
    # The layer's own centre of mass around the dot, in pixels: no shift by half a cell anywhere.
    near = np.zeros_like(layer)
    reach = int(2 * cell)
    rows, columns = slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1)
    near[rows, columns] = np.maximum(layer[rows, columns] - np.median(layer), 0) ** 4
    ys, xs = np.indices(layer.shape)
    if across == down == 0.5 and near.sum() > 0:
        assert abs((near * xs).sum() / near.sum() - x) <= 0.6 * cell
        assert abs((near * ys).sum() / near.sum() - y) <= 0.6 * cell


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_crop_keeps_a_ramp_straight(width: int, height: int) -> None:
    """A map that is linear over the input stays linear over the picture, at half-pixel centres."""
    geometry = fit(width, height, SIZE)
    centres = (np.arange(CELLS) + 0.5) * (SIZE / CELLS)
    across = np.tile(centres, (CELLS, 1)).astype(np.float32)
    for signed, start, length in (
        (across, geometry.left, geometry.inner_width),
        (across.T, geometry.top, geometry.inner_height),
    ):
        cropped = gradcam.crop(np.ascontiguousarray(signed), geometry)
        line = cropped[0] if signed is across else cropped[:, 0]
        expected = start + (np.arange(len(line)) + 0.5) * (length / len(line))
        assert np.allclose(line, np.clip(expected, centres[0], centres[-1]), atol=1e-3)


def test_crop_of_a_square_picture_is_the_map_itself() -> None:
    signed = np.random.default_rng(3).normal(size=(CELLS, CELLS)).astype(np.float32)
    assert np.array_equal(gradcam.crop(signed, fit(500, 500, SIZE)), signed)


def test_peak_of_a_symmetric_map_is_the_middle() -> None:
    signed = np.zeros((5, 5), np.float32)
    signed[2, 2] = 1
    assert gradcam.peak(signed, 101, 51) == (50, 25)


@pytest.mark.parametrize("shape", [(1, 1), (1, 20), (20, 1)])
def test_peak_lies_inside_the_picture(shape: tuple[int, int]) -> None:
    for place in range(max(shape)):
        signed = np.zeros(shape, np.float32)
        signed.flat[place] = 1
        x, y = gradcam.peak(signed, 7, 3)
        assert 0 <= x < 7
        assert 0 <= y < 3


def test_evidence_is_absolute() -> None:
    signed = np.array([[-5.0, 0.0], [2.0, 8.0]], np.float32)
    assert gradcam.evidence(signed, 4.0, 2, 2).tolist() == [[0.0, 0.0], [0.5, 1.0]]


def test_closed_form_is_the_positive_map_over_its_size() -> None:
    signed = np.array([[-5.0, 0.0], [2.0, 8.0]], np.float32)
    assert gradcam.grad_cam(signed).tolist() == [[0.0, 0.0], [0.5, 2.0]]


# --- through the whole pipeline -----------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_peak_follows_the_displayed_picture(pipeline: Pipeline, orientation: int) -> None:
    upright = with_dot(300, 200, 250, 40)
    data = encoded(stored_as(upright, orientation), "JPEG", orientation, quality=95)
    finding = pipeline.analyse(data).finding
    assert (finding.width, finding.height) == (300, 200)
    assert finding.peak is not None
    assert abs(finding.peak[0] - 250) <= 12
    assert abs(finding.peak[1] - 40) <= 12


@pytest.mark.parametrize(("width", "height"), [(300, 200), (200, 300), (1500, 700)])
def test_overlay_covers_the_picture_and_peaks_with_it(pipeline: Pipeline, width: int, height: int) -> None:
    x, y = int(width * 0.8), int(height * 0.2)
    result = pipeline.analyse(encoded(with_dot(width, height, x, y), "PNG"))
    assert result.rendered.overlay is not None
    layer = np.asarray(Image.open(BytesIO(result.rendered.overlay)).convert("RGBA"))
    assert max(layer.shape[:2]) == min(512, max(width, height))
    assert layer.shape[1] / layer.shape[0] == pytest.approx(width / height, rel=0.01)
    row, column = np.unravel_index(layer[..., 3].argmax(), layer.shape[:2])
    scale = width / layer.shape[1]
    assert abs((column + 0.5) * scale - x) <= max(width, height) / 10
    assert abs((row + 0.5) * scale - y) <= max(width, height) / 10


def test_display_picture_is_the_decoded_one(pipeline: Pipeline) -> None:
    data = encoded(with_dot(700, 300, 600, 100), "JPEG")
    result = pipeline.analyse(data)
    shown = cv2.imdecode(np.frombuffer(result.rendered.display, np.uint8), cv2.IMREAD_UNCHANGED)
    assert shown.shape == (300, 700)
    assert np.abs(shown.astype(int) - decode(data).pixels).mean() < 2
    small = cv2.imdecode(np.frombuffer(result.rendered.thumbnail, np.uint8), cv2.IMREAD_UNCHANGED)
    assert small.shape == (82, 192)


def test_composite_has_the_pictures_size_and_leaves_it_grey_without_evidence() -> None:
    pixels = with_dot(90, 60, 80, 10)
    signed = np.full((4, 6), -1, np.float32)
    plain = np.asarray(Image.open(BytesIO(render.composite(pixels, signed, 4.0))))
    assert np.array_equal(plain, np.repeat(pixels[..., None], 3, 2))
    signed[0, 5] = 4
    coloured = np.asarray(Image.open(BytesIO(render.composite(pixels, signed, 4.0)))).astype(int)
    spread = coloured.max(axis=2) - coloured.min(axis=2)
    assert np.unravel_index(spread.argmax(), spread.shape)[1] > 70
    assert spread[40:, :40].max() == 0
