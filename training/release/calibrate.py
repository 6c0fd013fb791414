"""From logits of the calibration fold to probabilities, thresholds, the map's scale and its trust."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_worker.trust import FEATURES, features, trust

#: A part has an offset of its own only where its calibration pictures hold this many abnormal ones.
OWN_OFFSET = 20
#: Of the abnormal pictures, the share that may fall below ``low``.
MISSED = 0.05
#: Of the pictures above ``high``, the share that must be abnormal.
PRECISION = 0.90

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Platt:
    """``sigmoid(slope * logit + intercept + offset of the part)``."""

    slope: float
    intercept: float
    offsets: dict[str, float]

    def probability(self, logit: Floats, body_parts: Sequence[str] = ()) -> NDArray[np.float64]:
        """``(N,)`` logits and the predicted parts, which only offsets need, to ``(N,)`` probabilities."""
        own = np.array([self.offsets.get(body_part, 0.0) for body_part in body_parts] or [0.0])
        return sigmoid(self.slope * np.asarray(logit, np.float64) + self.intercept + own)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """``crossed``: both promises could not hold at once. ``broken`` names those that fail, if any."""

    low: float
    high: float
    crossed: bool
    broken: str


def sigmoid(z: Floats) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(z, -60, 60))), np.float64)


def fit_platt(logit: Floats, abnormal: NDArray[np.bool_], body_parts: Sequence[str] = ()) -> Platt:
    """Pooled Platt scaling with its smoothed targets, then offsets for parts with enough abnormal pictures.

    An offset is fitted with the pooled slope held, so that a part with few pictures cannot bend
    the scale; other parts share the pool's intercept. Without ``body_parts`` there are no offsets.
    """
    slope, intercept = _logistic(np.asarray(logit, np.float64)[:, None], abnormal)
    offsets: dict[str, float] = {}
    names = np.array(body_parts)
    for body_part in sorted(set(body_parts)):
        mine = names == body_part
        positives = int(abnormal[mine].sum())
        if positives >= OWN_OFFSET and positives < mine.sum():
            base = slope[0] * logit[mine] + intercept
            _, shift = _logistic(np.zeros((int(mine.sum()), 0)), abnormal[mine], base=base)
            offsets[body_part] = round(shift, 4)
    return Platt(round(float(slope[0]), 5), round(float(intercept), 5), offsets)


def fit_thresholds(probability: Floats, abnormal: NDArray[np.bool_]) -> Thresholds:
    """``low``: the largest value with at most 5 % of the abnormal below it. ``high``: the smallest with
    at least 90 % abnormal at or above it, 1 if no value has that. If they cross, both become the midpoint.

    Raises ``ValueError`` if only one label is there.
    """
    if abnormal.all() or not abnormal.any():
        raise ValueError("thresholds need both normal and abnormal pictures")
    positives = np.sort(np.asarray(probability, np.float64)[abnormal])
    low = float(positives[int(np.floor(MISSED * len(positives)))])
    order = np.argsort(-np.asarray(probability, np.float64), kind="stable")
    ranked, truth = np.asarray(probability, np.float64)[order], abnormal[order]
    precise = np.cumsum(truth) / np.arange(1, len(truth) + 1)
    # Equal probabilities stand or fall together: a cut is possible only where the value changes.
    cut = np.append(ranked[1:] != ranked[:-1], True)
    allowed = np.flatnonzero(cut & (precise >= PRECISION))
    precise_enough = "at least 90 % abnormal above high"
    if not len(allowed):
        return Thresholds(low, 1.0, crossed=False, broken=precise_enough)
    high = float(ranked[allowed[-1]])
    if low <= high:
        return Thresholds(low, high, crossed=False, broken="")
    # The promises overlap: with one cut between them both hold in the calibration fold or nearly so.
    middle = (low + high) / 2
    missed = float((positives < middle).mean())
    above = abnormal[np.asarray(probability) >= middle]
    failing = []
    if missed > MISSED:
        failing.append("at most 5 % of the abnormal below low")
    if not len(above) or float(above.mean()) < PRECISION:
        failing.append(precise_enough)
    return Thresholds(middle, middle, crossed=True, broken=" and ".join(failing))


def map_scale(maps: NDArray[np.float32], abnormal: NDArray[np.bool_]) -> float:
    """The evidence drawn at full colour: what the peaks of three in four abnormal pictures stay under."""
    peaks = maps[abnormal].reshape(int(abnormal.sum()), -1).max(axis=1)
    return round(max(float(np.quantile(peaks, 0.75)), 0.5), 3)


def fit_trust(
    maps: Sequence[NDArray[np.float32]], hit: NDArray[np.bool_], temperature: float
) -> dict[str, Any]:
    """Parameters of ``inference_worker.trust`` from maps of abnormal pictures and whether their peak hit.

    A logistic regression on standardised features with a ridge: there are few misses.
    """
    rows = [features(map_, temperature) for map_ in maps]
    table = np.array([[row[name] for name in FEATURES] for row in rows])
    mean, spread = table.mean(axis=0), table.std(axis=0) + 1e-6
    slope, intercept = _logistic((table - mean) / spread, hit, ridge=0.05)
    weights = slope / spread
    return {
        "temperature": temperature,
        "intercept": round(float(intercept - (weights * mean).sum()), 5),
        "weights": {name: round(float(weight), 5) for name, weight in zip(FEATURES, weights, strict=True)},
    }


def trust_out_of_fold(
    maps: Sequence[NDArray[np.float32]],
    hit: NDArray[np.bool_],
    fold: NDArray[np.int64],
    temperature: float,
) -> NDArray[np.float64]:
    """The trust score ``(N,)`` of every map, fitted to the maps of the other folds: what it is worth."""
    scores = np.zeros(len(maps))
    for number in np.unique(fold):
        others, own = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if hit[others].all() or not hit[others].any():
            continue
        parameters = fit_trust([maps[row] for row in others.tolist()], hit[others], temperature)
        scores[own] = [trust(maps[row], parameters) for row in own.tolist()]
    return scores


def _logistic(
    table: NDArray[np.float64],
    label: NDArray[np.bool_],
    ridge: float = 0.0,
    base: NDArray[np.float64] | float = 0.0,
) -> tuple[NDArray[np.float64], float]:
    """Weights ``(F,)`` and intercept for ``table (N, F)``, added to ``base (N,)``; Newton's method.

    The ridge holds the weights, not the intercept. Halving a step that goes uphill makes it
    converge from anywhere, since the loss is convex.
    """
    targets = _smoothed(label)
    rows = np.concatenate([table, np.ones((len(table), 1))], axis=1)
    held = np.full(rows.shape[1], 2 * ridge)
    held[-1] = 0.0

    def loss(values: NDArray[np.float64]) -> float:
        z = rows @ values + base
        return float((np.logaddexp(0, z) - targets * z).mean() + (held * values**2).sum() / 2)

    values = np.zeros(rows.shape[1])
    for _ in range(100):
        probability = sigmoid(rows @ values + base)
        slope = rows.T @ (probability - targets) / len(rows) + held * values
        curve = (rows * (probability * (1 - probability))[:, np.newaxis]).T @ rows / len(rows)
        step = np.linalg.solve(curve + np.diag(held + 1e-9), slope)
        while loss(values - step) > loss(values) and float(np.abs(step).max()) > 1e-12:
            step = step / 2
        values = values - step
        if float(np.abs(step).max()) < 1e-9:
            break
    return values[:-1], float(values[-1])


def _smoothed(label: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Platt's targets: a little inside 0 and 1, so that separable labels give finite slopes."""
    positives = int(label.sum())
    negatives = len(label) - positives
    return np.where(label, (positives + 1) / (positives + 2), 1 / (negatives + 2))
