"""Other ways to explain the same verdict, and measures of any map: pure functions of arrays.

``features (h, w, K)`` are the last features, ``kernel (K,)`` the weights of the linear evidence head and
``pull (h, w)`` the derivative of the pooled logit by the evidence of each position, so that the
logit's derivative by a feature is ``kernel[k] * pull[y, x]``. Maps come back as ``(h, w)``, not negative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.network.pooling import TOP

Floats = NDArray[np.floating[Any]]
Squares = NDArray[np.uint8]
#: Pictures ``uint8 (N, S, S)`` to scores ``(N,)``.
Score = Callable[[Squares], Floats]

#: Shares of the picture that are taken away, or put back, in that order.
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
#: Thresholds tried for IoU, as shares of a map's maximum.
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


def pull_of(evidence: Floats, pooling: str, temperature: float) -> NDArray[np.float64]:
    """Derivative of the pooled logit by each position of ``evidence (h, w)``; the values sum to 1."""
    flat = np.asarray(evidence, np.float64).ravel()
    if pooling == "mean":
        pull = np.full(flat.size, 1 / flat.size)
    elif pooling == "logsumexp":
        raised = np.exp((flat - flat.max()) / temperature)
        pull = raised / raised.sum()
    else:
        best = np.argsort(-flat, kind="stable")[: TOP if pooling == "topk" else 1]
        pull = np.zeros(flat.size)
        pull[best] = 1 / len(best)
    return pull.reshape(evidence.shape)


def layer_cam(features: Floats, kernel: Floats, pull: Floats) -> NDArray[np.float64]:
    """LayerCAM (Jiang et al. 2021): every feature by its own positive derivative."""
    slope = np.maximum(kernel * pull[..., np.newaxis], 0)
    return np.asarray(np.maximum((slope * features).sum(axis=-1), 0), np.float64)


def grad_cam_plus_plus(features: Floats, kernel: Floats, pull: Floats) -> NDArray[np.float64]:
    """Grad-CAM++ (Chattopadhay et al. 2018), its higher derivatives those of the logit's exponential."""
    slope = np.asarray(kernel * pull[..., np.newaxis], np.float64)
    below = 2 * slope**2 + features.sum(axis=(0, 1)) * slope**3
    alpha = np.divide(slope**2, below, out=np.zeros_like(slope), where=np.abs(below) > 1e-30)
    weights = (alpha * np.maximum(slope, 0)).sum(axis=(0, 1))
    return np.asarray(np.maximum((weights * features).sum(axis=-1), 0), np.float64)


def score_cam(features: Floats, square: Squares, score: Score) -> NDArray[np.float64]:
    """ScoreCAM (Wang et al. 2020): each channel by what ``score`` says when only it lets light through.

    ``square`` is ``uint8 (S, S)``. One pass of the network for every channel that is not flat.
    """
    side = square.shape[0]
    kept, lit = [], []
    for channel in range(features.shape[-1]):
        mask = np.asarray(features[..., channel], np.float32)
        low, high = float(mask.min()), float(mask.max())
        if high > low:
            full = cv2.resize((mask - low) / (high - low), (side, side), interpolation=cv2.INTER_LINEAR)
            kept.append(channel)
            lit.append(np.rint(square * full).astype(np.uint8))
    if not kept:
        return np.zeros(features.shape[:2])
    scores = np.asarray(score(np.stack(lit)), np.float64)
    weights = np.exp(scores - scores.max())
    return np.asarray(np.maximum(features[..., kept] @ (weights / weights.sum()), 0), np.float64)


def best_iou(maps: Sequence[Floats], masks: Sequence[NDArray[np.bool_]]) -> tuple[NDArray[np.float64], float]:
    """IoU ``(N,)`` of each map with its mask ``(h, w)`` at the one threshold that is best on the mean.

    Thresholds are shares of a map's own maximum, so that methods with other units compare; an
    map that is nowhere above 0 has an IoU of 0. Returns the threshold too.
    """
    overlaps = np.zeros((len(THRESHOLDS), len(maps)))
    for row, share in enumerate(THRESHOLDS):
        for column, (map_, mask) in enumerate(zip(maps, masks, strict=True)):
            hot = (map_ >= share * map_.max()) & (map_ > 0)
            union = int((hot | mask).sum())
            overlaps[row, column] = int((hot & mask).sum()) / union if union else 0.0
    best = int(overlaps.mean(axis=1).argmax())
    return overlaps[best], THRESHOLDS[best]


def steps(square: Squares, blank: Squares, order: Floats, *, insertion: bool) -> Squares:
    """The picture step by step, ``uint8 (len(SHARES), S, S)``: where ``order (S, S)`` is highest goes first.

    Deletion puts ``blank`` in its place; insertion starts from ``blank`` and puts the picture back.
    """
    ranked = np.argsort(-order.ravel(), kind="stable")
    base, other = (blank, square) if insertion else (square, blank)
    out = np.repeat(base[np.newaxis], len(SHARES), axis=0)
    for row, share in enumerate(SHARES):
        chosen = ranked[: round(share * ranked.size)]
        out[row].reshape(-1)[chosen] = other.reshape(-1)[chosen]
    return out


def area(values: Floats) -> float:
    """Under the curve of ``values`` over ``SHARES``: the mean score on the way."""
    return float(np.trapezoid(np.asarray(values, np.float64), SHARES))


def rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's; 0 if one of the two is flat."""
    a, b = _ranks(first), _ranks(second)
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: Floats) -> NDArray[np.float64]:
    """Equal values share their mean rank."""
    _, place, count = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place], np.float64)
