"""Figures with intervals: pure functions of labels, scores and groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its bootstrap 95 % interval and how many pictures it rests on."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f}; n = {self.n})"


class Undefined(Exception):
    """A figure that these pictures cannot give, e.g. an AUC of one label only."""


def bootstrap(
    figure: Callable[[Rows], float], groups: NDArray[Any], n: int, *, rounds: int = 1000, seed: int = 7
) -> Figure:
    """``figure`` of all rows, with the 2.5 and 97.5 percentiles over resampled *groups*.

    Pictures of one group are alike, so they are drawn together; draws in which the figure is
    undefined are left out. Raises ``Undefined`` if it is undefined for all rows.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(group_of == index) for index in range(len(names))]
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(rounds):
        chosen = generator.integers(0, len(members), len(members))
        try:
            drawn.append(figure(np.concatenate([members[index] for index in chosen])))
        except Undefined:
            continue
    value = figure(np.arange(len(groups)))
    low, high = np.quantile(drawn, (0.025, 0.975)) if drawn else (value, value)
    return Figure(value, float(low), float(high), n)


def auc(label: NDArray[np.bool_], score: Floats) -> float:
    """The chance that an abnormal picture scores above a normal one; a tie counts half.

    Written out, like the next two: a bootstrap calls it hundreds of times for every figure, and
    scikit-learn's takes most of its time to check its arguments.
    """
    _both(label)
    normal, abnormal = np.sort(np.asarray(score)[~label]), np.asarray(score)[label]
    below = np.searchsorted(normal, abnormal, "left") + np.searchsorted(normal, abnormal, "right")
    return float(below.mean()) / (2 * len(normal))


def average_precision(label: NDArray[np.bool_], score: Floats) -> float:
    """The mean precision at the abnormal pictures, equal scores being called together."""
    _both(label)
    order = np.argsort(-np.asarray(score), kind="stable")
    ranked = np.asarray(score)[order]
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    hits = np.cumsum(label[order])[last]
    return float((np.diff(hits, prepend=0) * hits / (last + 1)).sum() / hits[-1])


def sensitivity_at(label: NDArray[np.bool_], score: Floats, threshold: float) -> float:
    """Share of the abnormal with ``score >= threshold``."""
    return _share(np.asarray(score)[label] >= threshold)


def specificity_at(label: NDArray[np.bool_], score: Floats, threshold: float) -> float:
    """Share of the normal with ``score < threshold``."""
    return _share(np.asarray(score)[~label] < threshold)


def precision_at(label: NDArray[np.bool_], score: Floats, threshold: float) -> float:
    """Share of the abnormal among ``score >= threshold``. Raises ``Undefined`` if there is none."""
    return _share(label[np.asarray(score) >= threshold])


def sensitivity_at_specificity(label: NDArray[np.bool_], score: Floats, specificity: float = 0.9) -> float:
    """The best sensitivity of any threshold that keeps at least ``specificity``."""
    _both(label)
    return _share(np.asarray(score)[label] > threshold_at_specificity(label, score, specificity))


def threshold_at_specificity(label: NDArray[np.bool_], score: Floats, specificity: float = 0.9) -> float:
    """The smallest score of a normal picture that at least ``specificity`` of them do not exceed."""
    normal = np.sort(np.asarray(score)[~label])
    return float(normal[int(np.ceil(specificity * len(normal))) - 1])


def kappa(label: NDArray[np.bool_], called: NDArray[np.bool_]) -> float:
    """Cohen's kappa of label and call."""
    _both(label)
    agreed = float((label == called).mean())
    abnormal_share, called_share = float(label.mean()), float(called.mean())
    chance = abnormal_share * called_share + (1 - abnormal_share) * (1 - called_share)
    return (agreed - chance) / (1 - chance)


def brier(label: NDArray[np.bool_], probability: Floats) -> float:
    return float(((np.asarray(probability) - label) ** 2).mean())


def calibration_error(label: NDArray[np.bool_], probability: Floats, bins: int = 10) -> float:
    """ECE over ``bins`` of equal mass."""
    order = np.argsort(probability, kind="stable")
    error = 0.0
    for rows in np.array_split(order, bins):
        if len(rows):
            error += len(rows) * abs(float(label[rows].mean()) - float(np.asarray(probability)[rows].mean()))
    return error / len(label)


def perfect_calibration_error(probability: Floats, rounds: int = 500, seed: int = 3) -> float:
    """The ECE to expect if ``probability`` were exactly right: chance alone gives more than 0."""
    generator = np.random.default_rng(seed)
    values = np.asarray(probability)
    return float(
        np.mean([calibration_error(generator.random(len(values)) < values, values) for _ in range(rounds)])
    )


def predictive_value(sensitivity: float, specificity: float, prevalence: float) -> float:
    """Of the pictures called abnormal, the share that are, at ``prevalence`` (Bayes)."""
    true = sensitivity * prevalence
    false = (1 - specificity) * (1 - prevalence)
    return true / (true + false) if true + false else float("nan")


def _both(label: NDArray[np.bool_]) -> None:
    if label.all() or not label.any():
        raise Undefined("needs both labels")


def _share(true: NDArray[np.bool_]) -> float:
    if not len(true):
        raise Undefined("needs a picture")
    return float(true.mean())
