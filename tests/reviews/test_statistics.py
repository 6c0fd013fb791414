"""The scorecard's figures against SciPy, scikit-learn, numerical derivatives and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, cohen_kappa_score

from xrayportal.reviews.scorecard import statistics
from xrayportal.reviews.scorecard.statistics import FourFold


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 9), (81, 97), (900, 1000)]
)
def test_wilson_is_scipys(successes: int, n: int) -> None:
    figure = statistics.wilson(successes, n)
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")

    assert figure is not None
    assert figure.value == successes / n
    assert figure.low == pytest.approx(expected.low, abs=1e-12)
    assert figure.high == pytest.approx(expected.high, abs=1e-12)


def test_a_share_of_nothing_is_no_figure() -> None:
    assert statistics.wilson(0, 0) is None
    assert statistics.kappa([[0, 0], [0, 0]]) is None
    assert statistics.calibration([]) is None


def _kappa_of(p: np.ndarray) -> float:
    chance = p.sum(axis=1) @ p.sum(axis=0)
    return float((np.trace(p) - chance) / (1 - chance))


@pytest.mark.parametrize(
    "table",
    [[[40, 9], [6, 45]], [[88, 10, 2], [14, 40, 6], [18, 10, 12]], [[1, 30], [25, 2]], [[5, 0], [0, 5]]],
)
def test_kappa_is_scikit_learns_and_its_interval_the_delta_methods(table: list[list[int]]) -> None:
    figure = statistics.kappa(table)
    assert figure is not None
    counts = np.array(table, dtype=float)
    n = counts.sum()
    rows, columns = np.indices(counts.shape)
    repeats = counts.astype(int).ravel()
    first, second = np.repeat(rows.ravel(), repeats), np.repeat(columns.ravel(), repeats)
    assert figure.value == pytest.approx(cohen_kappa_score(first, second))

    # The delta method on the multinomial, with a numerical gradient.
    p, step = counts / n, 1e-6
    gradient = np.zeros_like(p)
    for index in np.ndindex(p.shape):
        up, down = p.copy(), p.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (_kappa_of(up) - _kappa_of(down)) / (2 * step)
    covariance = (np.diag(p.ravel()) - np.outer(p, p)) / n
    half = 1.959963984540054 * math.sqrt(max(0.0, gradient.ravel() @ covariance @ gradient.ravel()))
    assert figure.low == pytest.approx(max(-1, figure.value - half), abs=1e-5)
    assert figure.high == pytest.approx(min(1, figure.value + half), abs=1e-5)


@pytest.mark.parametrize("table", [[[12, 0], [0, 0]], [[5, 3], [0, 0]], [[5, 0], [3, 0]], [[0, 9], [0, 0]]])
def test_kappa_says_nothing_where_one_side_always_says_the_same(table: list[list[int]]) -> None:
    assert statistics.kappa(table) is None


CELLS = {
    ("abnormal", "abnormal"): 8,
    ("abnormal", "normal"): 3,
    ("normal", "abnormal"): 2,
    ("normal", "normal"): 20,
    ("uncertain", "abnormal"): 4,
    ("uncertain", "normal"): 5,
    ("abnormal", "uncertain"): 1,
    ("unsupported", "normal"): 6,
    ("uncertain", "unsupported"): 7,
}


@pytest.mark.parametrize(
    ("uncertain", "expected"),
    [
        ("abnormal", FourFold(12, 8, 2, 20, left_out=14)),
        ("normal", FourFold(8, 3, 6, 25, left_out=14)),
        ("left-out", FourFold(8, 3, 2, 20, left_out=23)),
    ],
)
def test_uncertain_counts_as_stated(uncertain: str, expected: FourFold) -> None:
    folded = statistics.four_fold(CELLS, uncertain=uncertain)

    assert folded == expected
    assert folded.n + folded.left_out == sum(CELLS.values())


def test_sensitivity_and_specificity_divide_by_what_the_readers_say() -> None:
    folded = FourFold(true_positive=8, false_positive=3, false_negative=2, true_negative=20)

    assert folded.sensitivity == statistics.wilson(8, 10)
    assert folded.specificity == statistics.wilson(20, 23)


def test_the_correction_changes_nothing_where_everything_was_reviewed() -> None:
    folded = FourFold(80, 30, 20, 270)
    corrected = statistics.corrected_for_verification(folded, flagged=110, unflagged=290)

    assert corrected is not None
    assert corrected.sensitivity.value == pytest.approx(0.8)
    assert corrected.specificity.value == pytest.approx(0.9)


def test_the_correction_finds_the_truth_behind_a_biased_choice() -> None:
    """Flagged studies are reviewed four times as often: the plain sensitivity is far off."""
    random = np.random.default_rng(7)
    covered = naive_covered = 0
    runs = 300
    for _ in range(runs):
        abnormal = random.random(4000) < 0.2
        flagged = np.where(abnormal, random.random(4000) < 0.75, random.random(4000) < 0.1)
        reviewed = random.random(4000) < np.where(flagged, 0.8, 0.2)
        folded = FourFold(
            int((flagged & abnormal & reviewed).sum()),
            int((flagged & ~abnormal & reviewed).sum()),
            int((~flagged & abnormal & reviewed).sum()),
            int((~flagged & ~abnormal & reviewed).sum()),
        )
        corrected = statistics.corrected_for_verification(
            folded, flagged=int(flagged.sum()), unflagged=int((~flagged).sum())
        )
        assert corrected is not None
        assert folded.sensitivity is not None
        covered += corrected.sensitivity.low <= 0.75 <= corrected.sensitivity.high
        naive_covered += folded.sensitivity.low <= 0.75 <= folded.sensitivity.high
    assert 0.92 <= covered / runs <= 0.98
    assert naive_covered / runs < 0.01


def test_the_correction_says_nothing_from_an_empty_cell() -> None:
    assert statistics.corrected_for_verification(FourFold(8, 3, 0, 20), flagged=11, unflagged=20) is None


def test_calibration_is_scikit_learns() -> None:
    random = np.random.default_rng(3)
    probabilities = random.random(500)
    outcomes = random.random(500) < probabilities**2
    result = statistics.calibration(
        [(float(p), bool(y)) for p, y in zip(probabilities, outcomes, strict=True)], bins=10
    )
    observed, said = calibration_curve(outcomes, probabilities, n_bins=10, strategy="quantile")

    assert result is not None
    assert [b.observed.n for b in result.bins] == [50] * 10
    assert [b.said for b in result.bins] == pytest.approx(list(said))
    assert [b.observed.value for b in result.bins] == pytest.approx(list(observed))
    assert result.brier == pytest.approx(brier_score_loss(outcomes, probabilities))
    assert result.gap == pytest.approx(float(np.abs(observed - said).mean()))


def test_equal_probabilities_stay_in_one_bin() -> None:
    result = statistics.calibration([(0.5, True)] * 30 + [(0.9, True)] * 3, bins=10)

    assert result is not None
    assert [b.observed.n for b in result.bins] == [30, 3]
