"""The scorecard's figures against SciPy, scikit-learn, numerical derivatives and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from xrayportal.reviews.scorecard import charts, statistics
from xrayportal.reviews.scorecard.statistics import FourFold, Stratum, Sums

KINDS = ("analysed", "abnormal", "normal")


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 9), (81, 97), (900, 1000)]
)
def test_wilson_is_scipys(successes: int, n: int) -> None:
    share = statistics.wilson(successes, n)
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")

    assert share is not None
    assert share.value == successes / n
    assert share.low == pytest.approx(expected.low, abs=1e-12)
    assert share.high == pytest.approx(expected.high, abs=1e-12)


def test_a_share_of_nothing_is_no_figure() -> None:
    assert statistics.wilson(0, 0) is None
    assert statistics.kappa([[0, 0], [0, 0]]) is None
    assert statistics.calibration([]) is None


def _kappa_of(p: np.ndarray) -> float:
    chance = p.sum(axis=1) @ p.sum(axis=0)
    return float((np.trace(p) - chance) / (1 - chance))


@pytest.mark.parametrize(
    "table",
    [[[40, 9], [6, 45]], [[88, 10, 2], [14, 40, 6], [18, 10, 12]], [[1, 30], [25, 2]]],
)
def test_kappa_is_scikit_learns_and_its_interval_the_delta_methods(table: list[list[int]]) -> None:
    share = statistics.kappa(table)
    assert share is not None
    counts = np.array(table, dtype=float)
    n = counts.sum()
    rows, columns = np.indices(counts.shape)
    repeats = counts.astype(int).ravel()
    first, second = np.repeat(rows.ravel(), repeats), np.repeat(columns.ravel(), repeats)
    assert share.value == pytest.approx(cohen_kappa_score(first, second))

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
    assert share.low == pytest.approx(max(-1, share.value - half), abs=1e-5)
    assert share.high == pytest.approx(min(1, share.value + half), abs=1e-5)


def test_kappa_is_the_published_example_of_fleiss_cohen_and_everitt() -> None:
    """Psychological Bulletin 72 (1969), table 1: kappa 0.429, large-sample variance 0.002885 (n = 200)."""
    share = statistics.kappa([[106, 10, 4], [22, 28, 10], [2, 12, 6]])

    assert share is not None
    assert share.value == pytest.approx(0.429, abs=5e-4)
    assert share.high - share.value == pytest.approx(1.959963984540054 * math.sqrt(0.002885), abs=1e-4)


@pytest.mark.parametrize(("cases", "low"), [(2, -0.4), (10, 0.4), (400, 0.97)])
def test_agreement_in_every_case_is_no_certainty(cases: int, low: float) -> None:
    """The large-sample variance is 0 there, for two cases as for a thousand."""
    half = cases // 2
    agreed = statistics.kappa([[half, 0], [0, half]])
    opposed = statistics.kappa([[0, half], [half, 0]])
    share = stats.binomtest(cases, cases).proportion_ci(method="wilson")

    assert agreed is not None
    assert opposed is not None
    assert (agreed.value, agreed.high) == (1, 1)
    assert agreed.low == pytest.approx(2 * share.low - 1)
    assert agreed.low > low
    assert (opposed.value, opposed.low) == (-1, -1)
    assert opposed.high == pytest.approx(-agreed.low)


def test_kappas_interval_covers_the_truth_also_where_most_samples_agree_throughout() -> None:
    random = np.random.default_rng(5)
    p = np.array([[0.57, 0.01], [0.01, 0.41]])
    truth, covered, runs = _kappa_of(p), 0, 2000
    for _ in range(runs):
        share = statistics.kappa(random.multinomial(25, p.ravel()).reshape(2, 2).tolist())
        assert share is not None
        covered += share.low <= truth <= share.high
    # The large-sample interval alone covers it in 38 of 100 samples.
    assert covered / runs >= 0.93


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


def strata(folded: FourFold, flagged: int, unflagged: int) -> list[Stratum]:
    return [
        Stratum(True, flagged, folded.true_positive, folded.false_positive),
        Stratum(False, unflagged, folded.false_negative, folded.true_negative),
    ]


def test_the_correction_changes_nothing_where_everything_was_reviewed() -> None:
    corrected = statistics.corrected_for_verification(strata(FourFold(80, 30, 20, 270), 110, 290))

    assert corrected is not None
    assert corrected.sensitivity.value == pytest.approx(0.8)
    assert corrected.specificity.value == pytest.approx(0.9)


def test_the_correction_weighs_each_verdict_by_itself() -> None:
    """By hand: 100 abnormal (all reviewed, 80 right), 100 uncertain (10 reviewed, 2 abnormal), 800 normal.

    Among all would be 80 + 20 flagged abnormal studies and 800 · 4/100 = 32 missed ones: 100 / 132.
    Pooled, the flagged would seem to hold 82/110 abnormal: 149 of 200, and the sensitivity 0.823.
    """
    found = [
        Stratum(True, analysed=100, abnormal=80, normal=20),
        Stratum(True, analysed=100, abnormal=2, normal=8),
        Stratum(False, analysed=800, abnormal=4, normal=96),
    ]
    corrected = statistics.corrected_for_verification(found)

    assert corrected is not None
    assert corrected.sensitivity.value == pytest.approx(100 / 132)
    assert corrected.specificity.value == pytest.approx(768 / (768 + 20 + 80))


def test_the_corrections_interval_is_the_delta_methods() -> None:
    """With a numerical gradient over the counts analysed and the shares found abnormal."""
    found = [Stratum(True, 100, 80, 20), Stratum(True, 90, 2, 8), Stratum(False, 800, 4, 96)]
    analysed = np.array([s.analysed for s in found], dtype=float)
    shares = np.array([s.abnormal / s.reviewed for s in found])
    flagged = np.array([s.is_flagged for s in found])

    def logit(values: np.ndarray) -> float:
        sick = values[:3] * values[3:]
        return math.log(sick[flagged].sum() / sick[~flagged].sum())

    at = np.concatenate([analysed, shares])
    gradient = np.array([(logit(at + e) - logit(at - e)) / 2e-5 for e in np.eye(6) * 1e-5])
    covariance = np.zeros((6, 6))
    n = analysed.sum()
    covariance[:3, :3] = np.diag(analysed) - np.outer(analysed, analysed) / n
    covariance[3:, 3:] = np.diag([q * (1 - q) / s.reviewed for q, s in zip(shares, found, strict=True)])
    half = 1.959963984540054 * math.sqrt(gradient @ covariance @ gradient)
    corrected = statistics.corrected_for_verification(found)

    assert corrected is not None
    for bound, expected in ((corrected.sensitivity.low, -half), (corrected.sensitivity.high, half)):
        assert bound == pytest.approx(1 / (1 + math.exp(-(logit(at) + expected))), abs=1e-6)


def test_the_correction_finds_the_truth_behind_a_biased_choice() -> None:
    """Suspected studies are reviewed four times as often, so the plain sensitivity is far off.

    Studies that the model is uncertain of are reviewed rarely, and rarely abnormal: pooled with the suspected
    ones they would distort both figures.
    """
    random = np.random.default_rng(7)
    covered = naive_covered = pooled_covered = 0
    runs, n = 300, 6000
    for _ in range(runs):
        abnormal = random.random(n) < 0.2
        throw = random.random(n)
        verdicts = np.where(abnormal, np.digitize(throw, [0.15, 0.25]), np.digitize(throw, [0.7, 0.95]))
        reviewed = random.random(n) < np.array([0.2, 0.1, 0.8])[verdicts]
        found = [
            Stratum(
                code > 0,
                int((verdicts == code).sum()),
                int((abnormal & reviewed & (verdicts == code)).sum()),
                int((~abnormal & reviewed & (verdicts == code)).sum()),
            )
            for code in range(3)
        ]
        corrected = statistics.corrected_for_verification(found)
        two = [found[0], Stratum(True, *(sum(getattr(s, k) for s in found[1:]) for k in KINDS))]
        pooled = statistics.corrected_for_verification(two)
        naive = statistics.wilson(two[1].abnormal, two[1].abnormal + two[0].abnormal)
        assert corrected is not None
        assert pooled is not None
        assert naive is not None
        covered += corrected.sensitivity.low <= 0.85 <= corrected.sensitivity.high
        pooled_covered += pooled.sensitivity.low <= 0.85 <= pooled.sensitivity.high
        naive_covered += naive.low <= 0.85 <= naive.high
    assert 0.92 <= covered / runs <= 0.98
    assert naive_covered / runs < 0.01
    assert pooled_covered / runs < 0.8


def test_the_correction_pools_verdicts_that_cannot_carry_it_alone() -> None:
    few = [Stratum(True, 100, 80, 20), Stratum(True, 9, 0, 1), Stratum(False, 800, 4, 96)]
    two = [Stratum(True, 109, 80, 21), Stratum(False, 800, 4, 96)]

    assert statistics.corrected_for_verification(few) == statistics.corrected_for_verification(two)
    # A verdict that never came says nothing either way.
    assert statistics.corrected_for_verification(
        [*two, Stratum(True, 0, 0, 0)]
    ) == statistics.corrected_for_verification(two)


def test_the_correction_says_nothing_from_an_empty_cell() -> None:
    assert statistics.corrected_for_verification(strata(FourFold(8, 3, 0, 20), 11, 20)) is None
    assert statistics.corrected_for_verification(strata(FourFold(8, 3, 0, 0), 11, 20)) is None
    assert statistics.corrected_for_verification([]) is None


def test_calibration_adds_up_its_bins() -> None:
    """By hand: two cases at 0.1, none abnormal; three at 0.5, two abnormal."""
    result = statistics.calibration([Sums(2, 0.2, 0, 0.02), Sums(3, 1.5, 2, 0.75)])

    assert result is not None
    assert [(b.predicted, b.observed.value, b.observed.n) for b in result.bins] == [
        (pytest.approx(0.1), 0, 2),
        (0.5, pytest.approx(2 / 3), 3),
    ]
    assert result.brier == pytest.approx(0.77 / 5)
    assert result.gap == pytest.approx((0.1 * 2 + (2 / 3 - 0.5) * 3) / 5)


def test_a_calibration_draws_no_point_of_few_cases_and_no_single_point() -> None:
    bins = [Sums(30, 3.0, 2, 1.0), Sums(30, 15.0, 14, 7.0), Sums(9, 8.1, 8, 1.0)]
    two = statistics.calibration(bins)
    assert two is not None
    drawn = charts.reliability(two)
    assert drawn is not None
    assert [row.n for row in drawn.rows] == ["30", "30"]
    assert two.n == 69
    one = statistics.calibration(bins[1:])
    assert one is not None
    assert charts.reliability(one) is None
