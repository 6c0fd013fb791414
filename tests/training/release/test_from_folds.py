"""What out-of-fold answers make of a manifest: judged body parts, the common scale, bands of the map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference_worker.types import Outputs
from training.datasets.record import Record
from training.evaluation.out_of_fold import OutOfFold
from training.learning.configuration import Config
from training.release import from_folds
from training.release.calibrate import Platt

PARTS = ("hand", "wrist", "foot")
COUNT = 600


@pytest.fixture(scope="module")
def answers() -> OutOfFold:
    """Hands are told apart; wrists are not; of feet hardly any is fractured."""
    generator = np.random.default_rng(0)
    part = np.arange(COUNT) % 3
    abnormal = np.where(part == 2, np.arange(COUNT) < 9, generator.random(COUNT) < 0.3)
    signal = np.where(part == 1, 0.0, 4.0) * (abnormal - 0.5)
    logit = (signal + generator.normal(0, 1, COUNT)).astype(np.float32)
    maps = np.zeros((COUNT, 4, 4), np.float32)
    maps[:, 0, 0] = np.where(generator.random(COUNT) < 0.8, 6.0, 1.0)
    maps[::5] = -1.0
    maps[::5, 3, 3] = -0.5
    records = tuple(
        Record(
            str(number),
            Path("x"),
            "train",
            f"g{number // 6}",
            bool(abnormal[number]),
            PARTS[part[number]],
            boxes=((0.0, 0.0, 16.0, 16.0),) if abnormal[number] else (),
            width=64,
            height=64,
        )
        for number in range(COUNT)
    )
    outputs = Outputs(
        body_part=np.eye(3, dtype=np.float32)[part],
        logit=logit,
        map=maps,
        embedding=np.zeros((COUNT, 0), np.float32),
    )
    return OutOfFold(records, PARTS, 64, np.arange(COUNT) // 6 % 5, outputs)


def test_a_body_part_is_judged_only_where_it_is_told_apart(answers: OutOfFold) -> None:
    actual = from_folds.reliabilities(answers)
    assert [actual[part]["judged"] for part in PARTS] == [True, False, False]
    assert actual["hand"]["auc"]["low"] > 0.9
    assert actual["wrist"]["auc"]["low"] < 0.7
    assert actual["foot"]["abnormal"] == 3, "too few, however well they are told apart"


def test_a_body_part_of_one_label_has_no_auc(answers: OutOfFold) -> None:
    rows = [row for row, record in enumerate(answers.records) if not record.abnormal]
    outputs = Outputs(
        body_part=answers.outputs.body_part[rows],
        logit=answers.outputs.logit[rows],
        map=answers.outputs.map[rows],
        embedding=answers.outputs.embedding[rows],
    )
    normal = OutOfFold(tuple(answers.records[row] for row in rows), PARTS, 64, answers.fold[rows], outputs)
    assert {one["auc"] for one in from_folds.reliabilities(normal).values()} == {None}


def test_another_scale_gives_the_same_probabilities() -> None:
    """A network whose logits are twice as large and shifted is calibrated without a single label."""
    folds = np.random.default_rng(1).normal(-1, 2, 300)
    pooled = Platt(0.8, -0.3, {})
    actual = from_folds.aligned(pooled, 2 * folds + 5, folds)
    np.testing.assert_allclose(actual.probability(2 * folds + 5), pooled.probability(folds), atol=1e-4)


def test_the_promises_hold_for_what_is_judged(answers: OutOfFold) -> None:
    held = answers.records[::7]
    own = 0.5 * answers.outputs.logit[::7] - 1
    actual = from_folds.fitted(Config("c", size=64), answers, held, own)
    calibration, thresholds = actual["calibration"], actual["thresholds"]
    hands = np.array([record.body_part == "hand" for record in answers.records])
    logit, abnormal = 0.5 * answers.outputs.logit[hands] - 1, answers.abnormal[hands]
    probability = Platt(calibration["slope"], calibration["intercept"], {}).probability(logit)
    assert (probability[abnormal] < thresholds["low"]).mean() <= 0.06
    assert abnormal[probability >= thresholds["high"]].mean() >= 0.88
    assert thresholds["low"] <= thresholds["even"] <= thresholds["high"]
    assert set(actual["body_part_reliability"]) == set(PARTS)


def test_bands_of_the_map() -> None:
    peak = np.array([-1.0, 0.5, 1.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    hit = np.array([False, False, True, False, True, True, True, True, True, True])
    assert from_folds.location(peak, hit) == {
        "visible_from": 0.0,
        "strong_from": 1.0,
        "none": {"pictures": 1, "hits": 0},
        "weak": {"pictures": 1, "hits": 0},
        "strong": {"pictures": 8, "hits": 7},
    }


def test_a_trust_score_that_is_not_worth_it_is_not_released(answers: OutOfFold) -> None:
    actual = from_folds.fitted(
        Config("c", size=64), answers, answers.records[::7], answers.outputs.logit[::7]
    )
    location = actual["location"]
    assert sum(location[band]["pictures"] for band in ("none", "weak", "strong")) == answers.abnormal.sum()
    assert actual["trust"] is None or set(actual["trust"]) >= {"weights", "intercept"}
