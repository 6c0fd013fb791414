"""Figures and their intervals, in plain Python: no database, no Django. docs/scorecard.md has the sources.

All intervals are two-sided 95 % intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

#: The 97.5th percentile of the standard normal distribution.
Z = 1.959963984540054
#: Calibration is shown in at most so many bins of equal numbers of cases, each of ``LEAST_CASES``.
BINS = 10
#: A figure over fewer cases is not shown: its interval would say that nothing is known.
LEAST_CASES = 10
#: The same for a calibration, whose cases are cut into bins.
LEAST_CALIBRATED = 50
#: Rounding leaves up to this of a variance that is 0.
_NOTHING = 1e-12


@dataclass(frozen=True)
class Figure:
    """A value with its interval and the number of cases behind it."""

    value: float
    low: float
    high: float
    n: int


def enough(figure: Figure | None) -> Figure | None:
    """The figure, or None where there are fewer than ``LEAST_CASES`` behind it."""
    return figure if figure and figure.n >= LEAST_CASES else None


@dataclass(frozen=True)
class FourFold:
    """Numbers of cases: true or false is the model against the readers; ``left_out`` cannot be compared."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    left_out: int = 0

    @property
    def n(self) -> int:
        """The number of cases that are compared."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def sensitivity(self) -> Figure | None:
        """The share that the model flags of the cases that the readers call abnormal."""
        return wilson(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> Figure | None:
        """The share that the model does not flag of the cases that the readers call normal."""
        return wilson(self.true_negative, self.true_negative + self.false_positive)

    @property
    def kappa(self) -> Figure | None:
        """Agreement beyond chance."""
        return kappa([[self.true_positive, self.false_positive], [self.false_negative, self.true_negative]])


def four_fold(cells: Mapping[tuple[str, str], int], *, uncertain: str) -> FourFold:
    """Fold counts by (model's outcome, readers' verdict) to two by two.

    ``uncertain`` says how the model's "uncertain" counts: ``"abnormal"``, ``"normal"``, ``"leaning"`` (by the
    side that it leans to) or ``"left-out"``. Where the readers themselves say uncertain or unsupported there
    is no truth to compare with, and where the model says unsupported or does not judge the body part it gave
    no answer: both are left out.
    """
    counted = folding(uncertain)
    sums: dict[tuple[str, str], int] = {}
    left_out = 0
    for (model, readers), count in cells.items():
        if model in counted and readers in ("abnormal", "normal"):
            key = (counted[model], readers)
            sums[key] = sums.get(key, 0) + count
        else:
            left_out += count
    return FourFold(
        true_positive=sums.get(("abnormal", "abnormal"), 0),
        false_positive=sums.get(("abnormal", "normal"), 0),
        false_negative=sums.get(("normal", "abnormal"), 0),
        true_negative=sums.get(("normal", "normal"), 0),
        left_out=left_out,
    )


def folding(uncertain: str) -> dict[str, str]:
    """The model's outcomes that count → abnormal or normal; ``uncertain`` as for `four_fold`."""
    counted = {"abnormal": "abnormal", "normal": "normal"}
    if uncertain == "leaning":
        counted |= {"towards_normal": "normal", "towards_abnormal": "abnormal"}
    elif uncertain != "left-out":
        counted |= dict.fromkeys(("towards_normal", "uncertain", "towards_abnormal"), counted[uncertain])
    return counted


def wilson(successes: int, n: int) -> Figure | None:
    """A share with Wilson's score interval; None without cases. ``0 <= successes <= n``."""
    return Figure(successes / n, *_wilson_bounds(successes, n), n) if n else None


def _wilson_bounds(successes: int, n: int) -> tuple[float, float]:
    share = successes / n
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def kappa(table: Sequence[Sequence[int]]) -> Figure | None:
    """Cohen's kappa of a square table of counts, with the large-sample interval of Fleiss, Cohen and Everitt.

    None without cases, or where one of the two uses a single category: kappa would be 0 or undefined
    whatever the other says. The interval is cut to [-1, 1]. Where all cases agree, or none, the large-sample
    variance is 0 however few they are; the interval is then Wilson's of the plain agreement, with the
    agreement by chance held fixed.
    """
    n = sum(map(sum, table))
    size = range(len(table))
    categories_used = (
        sum(1 for i in size if any(table[i])),
        sum(1 for j in size if any(row[j] for row in table)),
    )
    if min(categories_used) < 2:
        return None
    p = [[table[i][j] / n for j in size] for i in size]
    rows = [sum(p[i]) for i in size]
    columns = [sum(p[i][j] for i in size) for j in size]
    observed = sum(p[i][i] for i in size)
    chance = sum(rows[i] * columns[i] for i in size)
    value = (observed - chance) / (1 - chance)
    agreeing = sum(p[i][i] * (1 - (rows[i] + columns[i]) * (1 - value)) ** 2 for i in size)
    differing = sum(p[i][j] * (columns[i] + rows[j]) ** 2 for i in size for j in size if i != j)
    variance = agreeing + (1 - value) ** 2 * differing - (value - chance * (1 - value)) ** 2
    if variance > _NOTHING:
        half = Z * math.sqrt(variance / n) / (1 - chance)
        low, high = value - half, value + half
    else:
        share_low, share_high = _wilson_bounds(sum(table[i][i] for i in size), n)
        low, high = (share_low - chance) / (1 - chance), (share_high - chance) / (1 - chance)
    return Figure(value, max(-1.0, low), min(1.0, high), n)


@dataclass(frozen=True)
class Stratum:
    """Studies with one verdict of the model: how many, and the readers' verdicts on the reviewed ones."""

    is_flagged: bool
    analysed: int
    abnormal: int
    normal: int

    @property
    def reviewed(self) -> int:
        """The number of studies that the readers call abnormal or normal."""
        return self.abnormal + self.normal


@dataclass(frozen=True)
class Corrected:
    """Sensitivity and specificity as they would be, had every analysed study been reviewed."""

    sensitivity: Figure
    specificity: Figure


def corrected_for_verification(strata: Iterable[Stratum]) -> Corrected | None:
    """Begg and Greenes' correction over any number of the model's verdicts, with logit intervals.

    It holds if, among studies with the same verdict of the model, those reviewed are like those not
    reviewed. Where the readers call all cases of one verdict the same, the verdicts are pooled to flagged
    and not flagged; None where a cell is empty even then: there are too few cases.
    """
    strata = [stratum for stratum in strata if stratum.analysed]
    if not all(stratum.abnormal and stratum.normal for stratum in strata):
        strata = [_pooled(strata, is_flagged) for is_flagged in (True, False)]
    if {s.is_flagged for s in strata if s.abnormal and s.normal} != {True, False}:
        return None
    return Corrected(
        sensitivity=_corrected(
            [(s.is_flagged, s.analysed, s.abnormal / s.reviewed, s.reviewed) for s in strata]
        ),
        specificity=_corrected(
            [(not s.is_flagged, s.analysed, s.normal / s.reviewed, s.reviewed) for s in strata]
        ),
    )


def _pooled(strata: Sequence[Stratum], is_flagged: bool) -> Stratum:
    same = [stratum for stratum in strata if stratum.is_flagged is is_flagged]
    return Stratum(
        is_flagged,
        analysed=sum(stratum.analysed for stratum in same),
        abnormal=sum(stratum.abnormal for stratum in same),
        normal=sum(stratum.normal for stratum in same),
    )


def _corrected(strata: Sequence[tuple[bool, int, float, int]]) -> Figure:
    """Sensitivity or specificity from (is a hit, analysed, share of the class in question, reviewed).

    The variance of its logit is by the delta method, for a multinomial ``analysed`` and binomial shares.
    """
    sums = {hit: sum(n * share for is_hit, n, share, _m in strata if is_hit is hit) for hit in (True, False)}
    variance = sum(
        (share * share * n + n * n * share * (1 - share) / m) / sums[is_hit] ** 2
        for is_hit, n, share, m in strata
    )
    centre, half = math.log(sums[True] / sums[False]), Z * math.sqrt(variance)
    analysed = sum(n for _hit, n, _share, _m in strata)
    return Figure(_expit(centre), _expit(centre - half), _expit(centre + half), analysed)


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@dataclass(frozen=True)
class Sums:
    """The sums over one bin of a calibration."""

    cases: int
    #: The sum of the predicted probabilities.
    predicted: float
    abnormal: int
    #: The sum of the squared differences of probability and outcome.
    squares: float


@dataclass(frozen=True)
class Bin:
    """Cases of similar probability: the mean prediction, and the share that was abnormal."""

    predicted: float
    observed: Figure


@dataclass(frozen=True)
class Calibration:
    """Reliability in bins of equal numbers of cases, and two measures of it."""

    bins: list[Bin]
    #: Mean squared difference of probability and outcome; 0 is perfect.
    brier: float
    #: Mean absolute difference of the bins, weighed by their cases.
    gap: float
    n: int


def calibration(sums: Sequence[Sums]) -> Calibration | None:
    """The calibration from the sums of its bins; None without cases.

    The cases, in order of probability, are cut into at most ``BINS`` bins with as equal numbers of cases as
    possible (``queries.calibration_of``). Equal probabilities are never torn apart, so bins may be fewer, and
    some hold less than ``LEAST_CASES``: those count, and are not drawn.
    """
    n = sum(one.cases for one in sums)
    if n == 0:
        return None
    bins = [
        Bin(one.predicted / one.cases, share) for one in sums if (share := wilson(one.abnormal, one.cases))
    ]
    return Calibration(
        bins=bins,
        brier=sum(one.squares for one in sums) / n,
        gap=sum(abs(one.predicted - one.observed.value) * one.observed.n for one in bins) / n,
        n=n,
    )
