"""Probabilities, thresholds and trust from a calibration fold."""

from __future__ import annotations

import numpy as np
import pytest

from inference_worker.trust import FEATURES, features, trust
from training.evaluation.metrics import calibration_error
from training.release.calibrate import fit_platt, fit_thresholds, fit_trust, map_scale, sigmoid


def _fold(n: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true probability is ``sigmoid(0.5 * logit - 1)``."""
    generator = np.random.default_rng(seed)
    logit = generator.normal(0, 4, n)
    return logit, generator.random(n) < sigmoid(0.5 * logit - 1)


def test_platt_finds_the_scale() -> None:
    logit, abnormal = _fold()
    platt = fit_platt(logit, abnormal, ["hand"] * len(logit))
    assert platt.slope == pytest.approx(0.5, abs=0.05)
    probability = platt.probability(logit, ["hand"] * len(logit))
    assert calibration_error(abnormal, probability) < 0.03


def test_only_parts_with_enough_abnormal_pictures_get_an_offset() -> None:
    generator = np.random.default_rng(1)
    body_parts = np.repeat(["hand", "knee"], [600, 60])
    logit = generator.normal(0, 3, 660)
    shift = np.where(body_parts == "hand", 1.0, -1.0)
    abnormal = generator.random(660) < sigmoid(logit + shift - 2)
    abnormal[600:] &= np.arange(60) < 25
    platt = fit_platt(logit, abnormal, list(body_parts))
    assert abnormal[600:].sum() < 20
    assert set(platt.offsets) == {"hand"}


def test_separable_labels_give_a_finite_slope() -> None:
    platt = fit_platt(np.array([-3.0, -2, 2, 3]), np.array([False, False, True, True]), ["a"] * 4)
    assert 0 < platt.slope < 100


def test_thresholds_keep_their_promises() -> None:
    generator = np.random.default_rng(2)
    abnormal = generator.random(3000) < 0.2
    probability = sigmoid(generator.normal(0, 1, 3000) + np.where(abnormal, 1.2, -2))
    actual = fit_thresholds(probability, abnormal)
    assert not actual.crossed
    assert (probability[abnormal] < actual.low).mean() <= 0.05
    assert (probability[abnormal] < actual.low + 0.02).mean() > 0.05
    assert abnormal[probability >= actual.high].mean() >= 0.9
    below = np.sort(probability[probability < actual.high])[-1]
    assert abnormal[probability >= below].mean() < 0.9


def test_crossed_thresholds_become_their_midpoint() -> None:
    probability = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    abnormal = np.array([False, False, False, True, True, True])
    actual = fit_thresholds(probability, abnormal)
    # low could be 0.7 and high as low as 0.7: together, not crossed.
    assert actual.low == actual.high == pytest.approx(0.7)
    crossed = fit_thresholds(np.linspace(0.05, 0.95, 40), np.arange(40) >= 2)
    assert crossed.crossed
    assert crossed.low == crossed.high


def test_thresholds_when_nothing_is_precise_enough() -> None:
    actual = fit_thresholds(np.array([0.2, 0.4, 0.6, 0.8]), np.array([True, False, True, False]))
    assert actual.high == 1.0
    assert actual.low == pytest.approx(0.2)


def test_thresholds_need_both_labels() -> None:
    with pytest.raises(ValueError, match="both"):
        fit_thresholds(np.array([0.1, 0.2]), np.array([True, True]))


def test_the_scale_of_the_map_is_absolute_and_positive() -> None:
    maps = np.full((4, 3, 3), -5, np.float32)
    assert map_scale(maps, np.array([True, True, False, False])) == 0.5
    maps[:, 1, 1] = 8
    assert map_scale(maps, np.array([True, True, False, False])) == 8


def _spot(row: int, column: int, height: float, rival: float = -6.0) -> np.ndarray:
    evidence = np.full((12, 10), -6, np.float32)
    evidence[row, column] = height
    evidence[10, 1] = max(evidence[10, 1], rival)
    return evidence


def test_features_of_one_spot_and_of_two() -> None:
    alone, torn = features(_spot(4, 5, 5.0), 1.0), features(_spot(4, 5, 5.0, rival=4.9), 1.0)
    assert alone["focus"] > 0.95
    assert torn["focus"] < 0.6
    assert torn["rival"] > 0.8 > alone["rival"]
    assert features(_spot(0, 0, 5.0), 1.0)["border"] > 0.9


def test_features_of_a_map_with_one_position() -> None:
    actual = features(np.array([[2.0]], np.float32), 1.0)
    assert actual == {"peak": 2.0, "focus": 1.0, "border": 1.0, "rival": 0.0}


def test_trust_learns_what_tells_hits_from_misses() -> None:
    generator = np.random.default_rng(3)
    maps, hit = [], []
    for index in range(80):
        good = index % 2 == 0
        row, column = generator.integers(2, 8, 2)
        maps.append(_spot(row, column, generator.normal(4, 0.5), rival=-6.0 if good else 3.8))
        hit.append(good)
    parameters = fit_trust(maps, np.array(hit), 1.0)
    assert set(parameters["weights"]) == set(FEATURES)
    scores = np.array([trust(map_, parameters) for map_ in maps])
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[::2].min() > scores[1::2].max()
