"""Batches: their shares, their targets, and that seed and epoch decide all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.datasets import table
from training.datasets.squares import load
from training.learning.augment import Augmentation
from training.learning.batches import Batches
from training.learning.losses import BodyPartLoss, MapLoss, VerdictLoss
from training.learning.teacher import Teacher

STILL = Augmentation(rotation=0, zoom=0, shift=0, contrast=0, flips=False)


def _batches(path: Path, seed: int, **more: Any) -> Batches:
    data = table.read(path)
    records = data.split("train")
    settings: dict[str, Any] = {
        "batch": 8, "cells": 4, "abnormal_share": 0.375, "augmentation": Augmentation(), "map_positive": 5.0,
    }  # fmt: skip
    squares = load(records, 64, path.parent / "cache")
    return Batches(records, squares, data.body_parts, seed=seed, **{**settings, **more})


def test_every_batch_holds_its_share_of_abnormal_pictures(bones: Path) -> None:
    batches = _batches(bones, 3)
    for index in range(len(batches)):
        pictures, targets = batches[index]
        assert pictures.shape == (8, 64, 64, 1)
        assert targets["logit"].sum() == 3
        target, weight = np.moveaxis(targets["map"], -1, 0)
        assert ((target.max(axis=(1, 2)) > 0) <= (targets["logit"] == 1)).all()
        np.testing.assert_allclose(weight, 1 + 4 * target)
        np.testing.assert_array_equal(np.sort(targets["part"], axis=1), [[0, 1]] * 8)


def test_the_same_seed_and_epoch_give_the_same_batches(bones: Path) -> None:
    first, second = _batches(bones, 3), _batches(bones, 3)
    np.testing.assert_array_equal(first[1][0], second[1][0])
    first.on_epoch_end()
    assert not np.array_equal(first[1][0], second[1][0])
    second.skip_to(1)
    np.testing.assert_array_equal(first[1][0], second[1][0])


def test_an_epoch_may_have_more_steps_than_pictures(bones: Path) -> None:
    batches = _batches(bones, 3, steps=40)
    assert len(batches) == 40
    shown = np.bincount(batches.order.ravel(), minlength=len(batches.label))
    for label in (0, 1):
        counts = shown[batches.label == label]
        assert counts.max() - counts.min() <= 1, "whole decks: all of a label appear equally often"


def test_where_nobody_drew_a_box_the_map_is_taught_nothing(bones: Path, tmp_path: Path) -> None:
    lines = [line.partition(',"[[')[0] for line in bones.read_text().splitlines()]
    for picture in bones.parent.glob("*.png"):
        (tmp_path / picture.name).write_bytes(picture.read_bytes())
    (tmp_path / "bare.csv").write_text("\n".join(lines) + "\n")
    _, targets = _batches(tmp_path / "bare.csv", 3, augmentation=Augmentation(cutmix=1.0))[0]
    unknown = targets["logit"] == 1
    assert unknown.sum() == 3, "what is not located is not cut"
    assert not targets["map"][unknown].any()
    assert (targets["map"][~unknown, ..., 1] == 1).all()


def test_a_teacher_has_its_share_of_the_targets(bones: Path) -> None:
    records = table.read(bones).split("train")
    generator = np.random.default_rng(5)
    teacher = Teacher(
        generator.random(len(records)).astype(np.float32),
        generator.random((len(records), 4, 4)).astype(np.float32),
    )
    plain, taught = (
        _batches(bones, 3, augmentation=STILL, teacher=one, teacher_share=0.25) for one in (None, teacher)
    )
    rows = taught.order[2]
    (_, before), (_, after) = plain[2], taught[2]
    np.testing.assert_allclose(after["logit"], 0.75 * before["logit"] + 0.25 * teacher.probability[rows])
    np.testing.assert_allclose(
        after["map"][..., 0], 0.75 * before["map"][..., 0] + 0.25 * teacher.maps[rows], atol=1e-6
    )
    np.testing.assert_array_equal(after["map"][..., 1], before["map"][..., 1])  # boxes weigh as before


def test_a_teachers_map_of_another_grid_fits(bones: Path) -> None:
    records = table.read(bones).split("train")
    teacher = Teacher(np.zeros(len(records), np.float32), np.full((len(records), 12, 12), 0.5, np.float32))
    _, targets = _batches(bones, 3, augmentation=STILL, teacher=teacher, teacher_share=1.0)[0]
    np.testing.assert_allclose(targets["map"][..., 0], 0.5)


def test_the_losses_of_soft_targets() -> None:
    body_part = np.array([[0.7, 0.2, 0.1]] * 3, np.float32)
    target = np.array([[1, 0, 0], [0.25, 0.75, 0], [0, 0, 0]])
    expected = [-np.log(0.7), -0.25 * np.log(0.7) - 0.75 * np.log(0.2), 0]
    np.testing.assert_allclose(np.array(BodyPartLoss()(target, body_part)), expected, rtol=1e-5)
    soft = float(np.array(VerdictLoss()(np.array([0.3]), np.array([1.2])))[0])
    assert soft == pytest.approx(0.3 * np.log1p(np.exp(-1.2)) + 0.7 * np.log1p(np.exp(1.2)))


def test_cells_of_the_map_weigh_what_the_target_says() -> None:
    evidence = np.zeros((2, 2, 2), np.float32)
    target = np.zeros((2, 2, 2, 2), np.float32)
    target[0, 0, 0] = (1, 5)  # one boxed cell, and nothing is known of the second picture
    target[0, 0, 1] = (0, 1)
    loss = np.array(MapLoss(prior=2.0)(target, evidence))
    np.testing.assert_allclose(loss, [(5 * np.log1p(np.exp(2)) + np.log1p(np.exp(-2))) / 4, 0], rtol=1e-5)
