"""Figures and their intervals, in plain Python: no database, no Django. docs/scorecard.md has the sources.

All intervals are two-sided 95 % intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

#: The 97.5th percentile of the standard normal distribution.
Z = 1.959963984540054


@dataclass(frozen=True)
class Figure:
    """A value with its interval and the number of cases behind it."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class FourFold:
    """Cases by what the model says (first) and what the readers say (second); ``left_out`` fit neither."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    left_out: int = 0

    @property
    def n(self) -> int:
        """Cases counted."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def sensitivity(self) -> Figure | None:
        """Share of the abnormal by the readers that the model flags."""
        return wilson(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> Figure | None:
        """Share of the normal by the readers that the model leaves unflagged."""
        return wilson(self.true_negative, self.true_negative + self.false_positive)

    @property
    def kappa(self) -> Figure | None:
        """Agreement beyond chance."""
        return kappa([[self.true_positive, self.false_positive], [self.false_negative, self.true_negative]])


def four_fold(cells: Mapping[tuple[str, str], int], *, uncertain: str) -> FourFold:
    """Counts by (model's verdict, readers' verdict), folded to two by two.

    ``uncertain`` says how the model's "uncertain" counts: ``"abnormal"``, ``"normal"`` or
    ``"left-out"``. Where the readers themselves say uncertain or unsupported there is no truth to
    compare with, and where the model says unsupported it gave no answer: both are left out.
    """
    counted = {"abnormal": "abnormal", "normal": "normal"}
    if uncertain != "left-out":
        counted["uncertain"] = counted[uncertain]
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


def wilson(successes: int, n: int) -> Figure | None:
    """A share with Wilson's score interval; None without cases. ``0 <= successes <= n``."""
    if n == 0:
        return None
    share = successes / n
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Figure(share, low, high, n)


def kappa(table: Sequence[Sequence[int]]) -> Figure | None:
    """Cohen's kappa of a square table of counts, with the large-sample interval of Fleiss, Cohen and Everitt.

    None without cases, or where one of the two only ever says one thing: kappa would be 0 or undefined
    whatever the other says. The interval is cut to [-1, 1].
    """
    n = sum(map(sum, table))
    size = range(len(table))
    said = [sum(1 for i in size if any(table[i])), sum(1 for j in size if any(row[j] for row in table))]
    if min(said) < 2:
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
    half = Z * math.sqrt(max(0.0, variance) / n) / (1 - chance)
    return Figure(value, max(-1.0, value - half), min(1.0, value + half), n)


@dataclass(frozen=True)
class Corrected:
    """Sensitivity and specificity as they would be, had every analysed study been reviewed."""

    sensitivity: Figure
    specificity: Figure


def corrected_for_verification(reviewed: FourFold, *, flagged: int, unflagged: int) -> Corrected | None:
    """Begg and Greenes' correction with logit intervals.

    ``flagged`` and ``unflagged`` count all analysed studies by the model's answer, reviewed or not.
    It holds if, among studies with the same answer, those reviewed are like those not reviewed.
    None where a cell is empty: then the reviewed cases cannot carry it.
    """
    tp, fp = reviewed.true_positive, reviewed.false_positive
    fn, tn = reviewed.false_negative, reviewed.true_negative
    if not (tp and fp and fn and tn and flagged and unflagged):
        return None
    n = flagged + unflagged
    right, missed = tp / (tp + fp), fn / (fn + tn)
    odds_variance = n / (flagged * unflagged)

    def figure(hit: float, miss: float, variance: float) -> Figure:
        centre, half = math.log(hit / miss), Z * math.sqrt(odds_variance + variance)
        return Figure(_expit(centre), _expit(centre - half), _expit(centre + half), n)

    return Corrected(
        sensitivity=figure(
            flagged * right,
            unflagged * missed,
            (1 - right) / (right * (tp + fp)) + (1 - missed) / (missed * (fn + tn)),
        ),
        specificity=figure(
            unflagged * (1 - missed),
            flagged * (1 - right),
            missed / ((1 - missed) * (fn + tn)) + right / ((1 - right) * (tp + fp)),
        ),
    )


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@dataclass(frozen=True)
class Bin:
    """Cases of similar probability: what was said on average, and how many were abnormal."""

    said: float
    observed: Figure


@dataclass(frozen=True)
class Calibration:
    """Reliability in bins of equal mass, and two sums of it."""

    bins: list[Bin]
    #: Mean squared difference of probability and outcome; 0 is perfect.
    brier: float
    #: Mean absolute difference of the bins, weighed by their cases.
    gap: float
    n: int


def calibration(pairs: Iterable[tuple[float, bool]], *, bins: int = 10) -> Calibration | None:
    """Reliability of (probability, was abnormal) pairs; None without any.

    The cases, in order of probability, are cut into at most ``bins`` bins with as equal numbers of
    cases as possible. Equal probabilities are never torn apart, so bins may be fewer.
    """
    cases = sorted(pairs)
    n = len(cases)
    if n == 0:
        return None
    groups: list[list[tuple[float, bool]]] = [[]]
    done = 0
    for _, equal in groupby(cases, key=lambda case: case[0]):
        same = list(equal)
        if groups[-1] and done * bins >= n * len(groups):
            groups.append([])
        groups[-1].extend(same)
        done += len(same)
    drawn = []
    for group in groups:
        observed = wilson(sum(abnormal for _, abnormal in group), len(group))
        if observed is not None:
            drawn.append(Bin(sum(p for p, _ in group) / len(group), observed))
    return Calibration(
        bins=drawn,
        brier=sum((p - abnormal) ** 2 for p, abnormal in cases) / n,
        gap=sum(abs(b.said - b.observed.value) * b.observed.n for b in drawn) / n,
        n=n,
    )
