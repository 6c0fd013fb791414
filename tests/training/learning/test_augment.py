"""Pictures and boxes move together, and the map's target says where."""

from __future__ import annotations

import numpy as np
import pytest

from training.datasets import table
from training.datasets.squares import load
from training.learning.augment import Augmentation, collimate, draw, grid_target, relight, warp
from training.learning.batches import NO_PART, Batches

SIZE = 128


@pytest.mark.parametrize("seed", range(8))
def test_the_target_follows_the_picture(seed: int) -> None:
    square = np.zeros((SIZE, SIZE), np.uint8)
    square[60:76, 44:60] = 255
    generator = np.random.default_rng(seed)
    matrix = draw(Augmentation(), SIZE, generator)
    moved = warp(square, matrix)
    target = grid_target([(44, 60, 60, 76)], matrix, SIZE, 8)
    shares = moved.reshape(8, 16, 8, 16).mean(axis=(1, 3))
    assert np.corrcoef(target.ravel(), shares.ravel())[0, 1] > 0.95
    assert target.max() == 1


def test_a_box_smaller_than_a_cell_teaches_one_cell_fully() -> None:
    target = grid_target([(17, 33, 23, 39)], None, SIZE, 8)
    assert target[2, 1] == 1
    assert target.sum() == 1


def test_a_box_outside_teaches_nothing() -> None:
    assert grid_target([(-50, -50, -20, -20)], None, SIZE, 8).sum() == 0
    assert grid_target([], None, SIZE, 8).sum() == 0


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


def _batches(path: object, seed: int) -> Batches:
    data = table.read(path)  # type: ignore[arg-type]  a Path from the fixture
    records = data.split("train")
    return Batches(
        records,
        load(records, 64, path.parent / "cache"),  # type: ignore[attr-defined]
        data.body_parts,
        batch=8,
        cells=4,
        abnormal_share=0.375,
        augmentation=Augmentation(),
        seed=seed,
    )


def test_every_batch_holds_its_share_of_abnormal_pictures(bones: object) -> None:
    batches = _batches(bones, 3)
    for index in range(len(batches)):
        pictures, targets = batches[index]
        assert pictures.shape == (8, 64, 64, 1)
        assert targets["logit"].sum() == 3
        assert ((targets["map"].max(axis=(1, 2)) > 0) <= (targets["logit"] == 1)).all()
        assert (targets["part"] > NO_PART).all()


def test_the_same_seed_and_epoch_give_the_same_batches(bones: object) -> None:
    first, second = _batches(bones, 3), _batches(bones, 3)
    np.testing.assert_array_equal(first[1][0], second[1][0])
    first.on_epoch_end()
    assert not np.array_equal(first[1][0], second[1][0])
    second.skip_to(1)
    np.testing.assert_array_equal(first[1][0], second[1][0])
