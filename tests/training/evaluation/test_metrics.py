"""Figures on small examples whose answer is known, and intervals by group."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, cohen_kappa_score, roc_auc_score

from training.evaluation import metrics
from training.evaluation.metrics import Undefined

LABEL = np.array([False] * 10 + [True] * 4)
SCORE = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.95, 0.75, 0.9, 0.97, 0.99])


def test_sensitivity_at_a_specificity() -> None:
    # One of ten normal pictures may lie above: the cut is just over 0.8.
    assert metrics.sensitivity_at_specificity(LABEL, SCORE, 0.9) == pytest.approx(0.75)
    assert metrics.sensitivity_at_specificity(LABEL, SCORE, 1.0) == pytest.approx(0.5)


def test_a_value_at_the_threshold_is_called_abnormal() -> None:
    assert metrics.sensitivity_at(LABEL, SCORE, 0.9) == pytest.approx(0.75)
    assert metrics.specificity_at(LABEL, SCORE, 0.95) == pytest.approx(0.9)


def test_one_label_gives_no_auc() -> None:
    with pytest.raises(Undefined):
        metrics.auc(np.ones(3, bool), np.arange(3.0))
    with pytest.raises(Undefined):
        metrics.sensitivity_at(np.zeros(3, bool), np.arange(3.0), 0.5)


@pytest.mark.parametrize("levels", [3, 10, 10_000])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_ranking_and_agreement_are_what_scikit_learn_says(levels: int, share: float) -> None:
    """With few levels most scores are equal to others."""
    generator = np.random.default_rng(levels)
    label = generator.random(300) < share
    score = np.round((generator.random(300) + 0.3 * label) * levels) / levels
    assert metrics.auc(label, score) == pytest.approx(roc_auc_score(label, score))
    expected = average_precision_score(label, score)
    assert metrics.average_precision(label, score) == pytest.approx(expected)
    for threshold in (-1.0, 0.5, 2.0):
        called = score >= threshold
        assert metrics.kappa(label, called) == pytest.approx(cohen_kappa_score(label, called))


def test_calibration_error_of_the_perfect_and_of_the_boastful() -> None:
    generator = np.random.default_rng(0)
    probability = generator.random(5000)
    label = generator.random(5000) < probability
    assert metrics.calibration_error(label, probability) < 0.03
    assert metrics.calibration_error(label, np.where(probability > 0.5, 1.0, 0.0)) > 0.2
    assert 0 < metrics.perfect_calibration_error(probability[:200]) < 0.1


def test_predictive_value_falls_with_prevalence() -> None:
    assert metrics.predictive_value(0.9, 0.9, 0.5) == pytest.approx(0.9)
    assert metrics.predictive_value(0.9, 0.9, 0.02) == pytest.approx(0.155, abs=0.001)


def test_intervals_are_wider_when_pictures_of_a_group_are_alike() -> None:
    generator = np.random.default_rng(1)
    values = np.repeat(generator.random(30) < 0.5, 10).astype(float)
    mean = lambda rows: float(values[rows].mean())  # noqa: E731  the figure under test
    by_group = metrics.bootstrap(mean, np.repeat(np.arange(30), 10), 300)
    alone = metrics.bootstrap(mean, np.arange(300), 300)
    assert by_group.value == alone.value
    assert by_group.high - by_group.low > 2 * (alone.high - alone.low)
    assert "n = 300" in str(by_group)
