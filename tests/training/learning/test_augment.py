"""Pictures and boxes move together, and the map's target says where."""

from __future__ import annotations

import numpy as np
import pytest

from training.learning.augment import (
    Augmentation,
    collimate,
    degrade,
    draw,
    erase,
    grid_target,
    moved_corners,
    relight,
    warp,
    warp_map,
)

SIZE = 128


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation(aspect=0.2, shear=15)])
def test_targets_follow_the_picture(augmentation: Augmentation, seed: int) -> None:
    square = np.zeros((SIZE, SIZE), np.uint8)
    square[60:76, 44:60] = 255
    generator = np.random.default_rng(seed)
    matrix = draw(augmentation, SIZE, generator)
    moved = warp(square, matrix)
    target = grid_target(moved_corners([(44, 60, 60, 76)], matrix), SIZE, 8)
    shares = moved.reshape(8, 16, 8, 16).mean(axis=(1, 3))
    assert np.corrcoef(target.ravel(), shares.ravel())[0, 1] > 0.95
    assert target.max() == 1
    # A map moves as the picture does: the centre of what it marks stays the square's.
    still = square.reshape(32, 4, 32, 4).mean(axis=(1, 3), dtype=np.float32)
    there = np.argwhere(warp_map(still, matrix, SIZE) > 127).mean(axis=0) * 4 + 1.5
    np.testing.assert_allclose(there, np.argwhere(moved > 127).mean(axis=0), atol=1.5)


def test_a_box_smaller_than_a_cell_teaches_one_cell_fully() -> None:
    target = grid_target(moved_corners([(17, 33, 23, 39)], None), SIZE, 8)
    assert target[2, 1] == 1
    assert target.sum() == 1


def test_a_box_outside_teaches_nothing() -> None:
    assert grid_target(moved_corners([(-50, -50, -20, -20)], None), SIZE, 8).sum() == 0
    assert grid_target([], SIZE, 8).sum() == 0


@pytest.mark.parametrize("seed", range(20))
def test_collimation_covers_no_box(seed: int) -> None:
    square = np.full((SIZE, SIZE), 100, np.uint8)
    always = Augmentation(collimation=1)
    box = (20.0, 30.0, 110.0, 100.0)
    banded = collimate(square, [box], always, np.random.default_rng(seed))
    assert (banded[30:100, 20:110] == 100).all()
    assert (collimate(square, (), always, np.random.default_rng(seed)) != 100).any()
    assert (square == 100).all()


def test_relighting_keeps_black_and_white() -> None:
    square = np.array([[0, 128, 255]], np.uint8)
    lit = relight(square, Augmentation(contrast=0.5), np.random.default_rng(1))
    assert (lit[0, 0], lit[0, 2]) == (0, 255)
    assert lit[0, 1] != 128


@pytest.mark.parametrize("seed", range(10))
def test_exposure_leaves_unexposed_film_dark(seed: int) -> None:
    square = np.array([[0, 2, 3, 128]], np.uint8)
    bright = Augmentation(contrast=0.0, gain=0.15, brightness=20.0)
    lit = relight(square, bright, np.random.default_rng(seed))
    assert lit[0, :2].tolist() == [0, 2]
    assert lit[0, 3] != 128
    assert 128 * 0.85 - 21 <= lit[0, 3] <= 128 * 1.15 + 21


def test_blur_and_noise_come_by_chance() -> None:
    square = np.random.default_rng(2).integers(60, 200, (SIZE, SIZE)).astype(np.uint8)
    generator = np.random.default_rng(3)
    assert degrade(square, Augmentation(), generator) is square
    softened = degrade(square, Augmentation(blur=1.0), generator)
    assert softened.std() < 0.5 * square.std()
    noisy = [degrade(square, Augmentation(noise=8.0), generator).astype(float) for _ in range(60)]
    spread = [float((one - square).std()) for one in noisy]
    assert 6 <= sum(value > 0 for value in spread) <= 30
    assert max(spread) <= 8.5


@pytest.mark.parametrize("seed", range(20))
def test_an_erased_patch_lies_on_no_box(seed: int) -> None:
    square = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE)).astype(np.uint8)
    boxes = moved_corners([(40, 30, 80, 90)], None)
    always = Augmentation(erase=1.0)
    patched = erase(square, boxes, always, np.random.default_rng(seed))
    assert (patched[30:91, 40:81] == square[30:91, 40:81]).all()
    everywhere = moved_corners([(0, 0, SIZE, SIZE)], None)
    assert erase(square, everywhere, always, np.random.default_rng(seed)) is square
    rows, columns = np.nonzero(erase(square, (), always, np.random.default_rng(seed)) != square)
    for side in (np.ptp(rows) + 1, np.ptp(columns) + 1):
        assert 0.08 * SIZE <= side <= 0.4 * SIZE
