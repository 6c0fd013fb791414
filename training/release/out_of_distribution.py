"""Fits a bundle's out-of-distribution detector, `inference_worker.out_of_distribution`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from inference_worker.out_of_distribution import OutOfDistributionDetector
from inference_worker.preprocess import letterbox
from training.release.variation import Pixels, varied, with_metal

Floats = NDArray[np.float32]
Squares = NDArray[np.uint8]
Embed = Callable[[Squares], Floats]

#: Directions with a variance of their own: of the distance, and of the linear score.
DIRECTIONS, SCORE_DIRECTIONS = 128, 300
#: Share of unseen radiographs, at their own size and small, that each of the two measures may turn away.
REJECTED = 0.002
#: The limits lie this far beyond that, from the median: radiographs of other machines lie further out than
#: any unseen one of the same source. The distance only backs the score up, where no stranger was shown.
SCORE_MARGIN, DISTANCE_MARGIN = 1.03, 1.25
#: Inverse strength of the linear score's ridge, on whitened features.
RIDGE = 0.01
#: Colour of a picture, 0 to 255, from which it is no radiograph; scanned films are slightly tinted.
CHROMA_LIMIT = 24.0
#: Longest side in pixels of a small picture.
SMALL = 224
#: Pictures in one pass, and varied versions of every stranger.
BATCH, COPIES = 64, 4


def small(pixels: Pixels) -> Pixels:
    """The picture with its longest side reduced to ``SMALL``."""
    import cv2

    share = min(1.0, SMALL / max(pixels.shape))
    height, width = (max(1, round(side * share)) for side in pixels.shape)
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def embedded(embed: Embed, pictures: Sequence[Pixels], size: int) -> Floats:
    """``(N, D)`` of pictures ``uint8 (H, W)`` of any size, letterboxed to squares of ``size`` pixels."""
    found = []
    for start in range(0, len(pictures), BATCH):
        chosen = pictures[start : start + BATCH]
        found.append(embed(np.stack([letterbox(pixels, size)[0] for pixels in chosen])))
    return np.concatenate(found)


def fit(
    embed: Embed,
    size: int,
    learn: Sequence[Pixels],
    body_part: NDArray[np.int32],
    unseen: Sequence[Pixels],
    outside: Sequence[Pixels],
    sources: Sequence[str],
) -> OutOfDistributionDetector:
    """A detector from pictures ``uint8 (H, W)``: ``learn`` trained the network, ``unseen`` did not,
    ``outside`` are to be refused and come from ``sources``.

    ``body_part`` is the part's index of ``learn``, negative where it has none. Of every second picture of
    ``learn`` a varied version, and of every fourth one with metal drawn in, widen what is in scope; of
    ``outside`` come a small version and ``COPIES`` varied ones. The limits come from ``unseen``, as they are
    and small.
    """
    generator = np.random.default_rng(5)
    second, fourth = slice(None, None, 2), slice(1, None, 4)
    changed = [varied(pixels, generator) for pixels in learn[second]]
    metal = [with_metal(pixels, generator) for pixels in learn[fourth]]
    metal = [varied(pixels, generator) if row % 2 else pixels for row, pixels in enumerate(metal)]
    inside = [*learn, *map(small, learn[::3]), *changed, *metal]
    parts = np.concatenate([body_part, body_part[::3], body_part[second], body_part[fourth]])
    strangers = [*outside, *map(small, outside)]
    for _ in range(COPIES):
        strangers += [varied(pixels, generator) for pixels in outside]
    return fit_embeddings(
        embedded(embed, inside, size),
        parts,
        embedded(embed, [*unseen, *map(small, unseen)], size),
        embedded(embed, strangers, size),
        list(sources) * (2 + COPIES),
    )


def fit_embeddings(
    inside: Floats, body_part: NDArray[np.int32], fresh: Floats, outside: Floats, sources: Sequence[str]
) -> OutOfDistributionDetector:
    """The same from embeddings ``(N, D)``."""
    centre = inside.mean(axis=0)
    scale = inside.std(axis=0) + 1e-3 * float(inside.std())
    standard = ((inside - centre) / scale).astype(np.float64)
    labels = np.unique(body_part[body_part >= 0])
    means = np.stack([standard[body_part == label].mean(axis=0) for label in labels])
    known = body_part >= 0
    residual = standard[known] - means[np.searchsorted(labels, body_part[known])]
    directions, variances, rest = _spread(residual, DIRECTIONS)
    away = ((outside - centre) / scale).astype(np.float64)
    weights = _discriminant(standard, away, _voices(sources))
    detector = OutOfDistributionDetector(
        centre=centre.astype(np.float32),
        scale=scale.astype(np.float32),
        means=means.astype(np.float32),
        directions=directions.astype(np.float32),
        variances=variances.astype(np.float32),
        rest=rest,
        weights=weights.astype(np.float32),
        score_middle=0.0,
        score_limit=1.0,
        limit=1.0,
        chroma_limit=CHROMA_LIMIT,
    )
    scores = detector.score(fresh)
    middle = float(np.median(scores))
    return replace(
        detector,
        score_middle=middle,
        score_limit=middle + SCORE_MARGIN * (float(np.quantile(scores, 1 - REJECTED)) - middle),
        limit=DISTANCE_MARGIN * float(np.quantile(detector.mahalanobis(fresh), 1 - REJECTED)),
    )


def save(detector: OutOfDistributionDetector, path: Path) -> None:
    """Write what the detector's ``load`` reads; ``limit`` and ``chroma_limit`` belong to the manifest."""
    np.savez(
        path,
        centre=detector.centre,
        scale=detector.scale,
        means=detector.means,
        directions=detector.directions,
        variances=detector.variances,
        rest=np.float64(detector.rest),
        weights=detector.weights,
        score_middle=np.float64(detector.score_middle),
        score_limit=np.float64(detector.score_limit),
    )


def _spread(rows: NDArray[np.float64], most: int) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Leading directions of centred ``rows (N, D)``, their variances, and the mean variance of the others."""
    variances, columns = np.linalg.eigh(rows.T @ rows / len(rows))
    variances, right = variances[::-1], columns[:, ::-1].T
    # Small or repetitive data leave directions in which nothing varies; dividing by those tells nothing.
    kept = min(most, len(variances) - 1, int((variances > 1e-9 * variances[0]).sum()))
    rest = float(variances[kept:].sum()) / max(1, rows.shape[1] - kept)
    return right[:kept], variances[:kept], max(rest, 1e-9)


def _voices(sources: Sequence[str]) -> NDArray[np.float64]:
    """The weight of every picture: a source counts by the root of its size, lest a large one drown others."""
    names, number = np.unique(np.array(sources), return_inverse=True)
    return np.asarray(1 / np.sqrt(np.bincount(number, minlength=len(names)))[number], np.float64)


def _discriminant(
    inside: NDArray[np.float64], outside: NDArray[np.float64], voices: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights ``(D,)`` of a ridge logistic regression in the whitened leading directions of ``inside``."""
    directions, variances, _ = _spread(inside, SCORE_DIRECTIONS)
    white = (directions / np.sqrt(variances)[:, np.newaxis]).T
    table = np.concatenate([inside @ white, outside @ white])
    label = np.concatenate([np.zeros(len(inside)), np.ones(len(outside))])
    weight = np.concatenate([np.ones(len(inside)), voices * len(inside) / voices.sum()])
    model = LogisticRegression(C=RIDGE, max_iter=2000).fit(table, label, sample_weight=weight)
    return np.asarray(white @ model.coef_[0], np.float64)
