"""Windows of other pictures: what is to be seen afterwards is what is taught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.datasets.record import Box
from training.learning.augment import grid_target, moved_corners
from training.learning.cutmix import Sample, cutmix, mix, window

SIZE, CELLS = 128, 8


def _sample(level: int, boxes: list[Box], body_part: int, label: float) -> Sample:
    corners = moved_corners(boxes, None)
    evidence = grid_target(corners, SIZE, CELLS)
    return Sample(
        pixels=np.full((SIZE, SIZE), level, np.uint8),
        boxes=tuple(corners),
        body_part=np.eye(2, dtype=np.float32)[body_part],
        label=label,
        verdict=0.5 * label + 0.2,
        evidence=evidence,
        target=0.5 * evidence + 0.1,
        located=True,
    )


@pytest.fixture
def broken() -> Sample:
    """Its box covers rows 32 to 64 and columns 32 to 64: cells 2 and 3."""
    return _sample(200, [(32, 32, 64, 64)], 0, 1.0)


@pytest.fixture
def whole() -> Sample:
    return _sample(50, [], 1, 0.0)


def _cells(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    inside = np.zeros((CELLS, CELLS), bool)
    inside[top:bottom, left:right] = True
    return inside


def test_a_window_over_half_of_a_fracture_leaves_half_a_label(broken: Sample, whole: Sample) -> None:
    inside = _cells(2, 0, 6, 3)
    mixed = mix(broken, whole, inside)
    assert mixed.label == mixed.verdict == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(mixed.body_part, [1 - 12 / 64, 12 / 64])
    assert mixed.pixels[32:96, :48].tolist() == [[50] * 48] * 64
    assert (mixed.pixels == 200).sum() == SIZE * SIZE - 48 * 64
    np.testing.assert_allclose(mixed.evidence, np.where(inside, 0, broken.evidence))
    np.testing.assert_allclose(mixed.target, np.where(inside, whole.target, broken.target))


def test_a_hidden_fracture_is_none_and_a_shown_one_is_one(broken: Sample, whole: Sample) -> None:
    over = _cells(1, 1, 5, 5)
    assert mix(broken, whole, over).label == 0
    assert mix(whole, broken, over).label == 1
    assert mix(whole, broken, ~over).label == 0
    beside = _sample(90, [(80, 80, 96, 96)], 0, 1.0)
    # The host's own fracture is hidden, but the window brings none: two boxes, the largest share counts.
    assert mix(replace(broken, boxes=(*broken.boxes, *beside.boxes)), whole, over).label == 1


def test_an_unknown_part_stays_unknown(broken: Sample, whole: Sample) -> None:
    unknown = replace(whole, body_part=np.zeros(2, np.float32))
    assert not mix(broken, unknown, _cells(0, 0, 4, 4)).body_part.any()


def test_what_nobody_located_is_neither_cut_nor_shown(broken: Sample, whole: Sample) -> None:
    lost = replace(broken, pixels=np.full((SIZE, SIZE), 7, np.uint8), boxes=(), located=False)
    samples = [broken, whole, lost, whole]
    mixed = cutmix(samples, 1.0, np.random.default_rng(1))
    assert mixed[2] is lost
    assert all(one is not other for one, other in zip(mixed, samples, strict=True) if other is not lost)
    assert not any((one.pixels == 7).any() for one in mixed if one is not lost)
    assert cutmix(samples, 0.0, np.random.default_rng(1)) == samples
    assert cutmix([broken, lost], 1.0, np.random.default_rng(1)) == [broken, lost], "there is no other"


def test_a_picture_is_never_its_own_window(whole: Sample) -> None:
    samples = [replace(whole, pixels=np.full((SIZE, SIZE), level, np.uint8)) for level in range(5)]
    for seed in range(20):
        mixed = cutmix(samples, 1.0, np.random.default_rng(seed))
        assert all(len(np.unique(one.pixels)) == 2 for one in mixed)


def test_windows_have_the_sides_they_should() -> None:
    generator = np.random.default_rng(2)
    for _ in range(50):
        inside = window(24, generator)
        rows, columns = inside.any(axis=1).sum(), inside.any(axis=0).sum()
        assert inside.sum() == rows * columns
        assert 7 <= min(rows, columns) <= max(rows, columns) <= 19
