"""Fits a bundle's out-of-distribution detector, `inference_worker.out_of_distribution`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from inference_worker.out_of_distribution import OutOfDistributionDetector
from inference_worker.preprocess import letterbox
from training.learning.augment import Augmentation, collimate, draw, relight, warp
from training.release.outliers import Outlier

Floats = NDArray[np.float32]
Squares = NDArray[np.uint8]

#: Directions with a variance of their own.
DIRECTIONS = 128
#: Share of unseen radiographs that each of the two measures may turn away.
REJECTED = 0.0075
#: The Mahalanobis limit lies this far beyond that: it backs the score up where no outlier was shown, and
#: radiographs of other machines lie further out than any unseen one of the same source.
MARGIN = 1.1
#: Inverse strength of the linear score's ridge, on whitened features.
RIDGE = 0.01
#: Colour of a picture, 0 to 255, from which it is no radiograph; scanned films are slightly tinted.
CHROMA_LIMIT = 24.0
#: How radiographs of other machines may differ from those at hand without being out of scope.
VARIATION = Augmentation(rotation=20, zoom=0.3, shift=0.08, contrast=0.4, collimation=0.25)


def varied(squares: Squares, seed: int) -> Squares:
    """Each of ``uint8 (N, S, S)`` moved, relit, collimated, softened or sharpened at random."""
    generator = np.random.default_rng(seed)
    size = squares.shape[1]
    out = np.empty_like(squares)
    for row, square in enumerate(squares):
        moved = collimate(square, (), VARIATION, generator)
        moved = warp(moved, draw(VARIATION, size, generator))
        out[row] = _resharpen(relight(moved, VARIATION, generator), generator)
    return out


def outlier_squares(outliers: Sequence[Outlier], size: int, copies: int, seed: int) -> Squares:
    """``outliers`` as the network sees them, each with ``copies`` varied versions."""
    plain = np.stack([letterbox(outlier.pixels, size)[0] for outlier in outliers])
    return np.concatenate([plain, *(varied(plain, seed + copy) for copy in range(copies))])


def fit(
    embed: Callable[[Squares], Floats],
    learn: Squares,
    body_part: NDArray[np.int32],
    unseen: Squares,
    outside: Squares,
) -> OutOfDistributionDetector:
    """A detector from pictures ``uint8 (N, S, S)``: ``learn`` trained the network, ``unseen`` did not,
    ``outside`` are to be refused.

    ``part`` is the part's index of ``learn``, negative where it has none. Varied copies of a
    third of ``learn`` widen what is in scope; the limits come from ``unseen``, plain and varied.
    """
    third = slice(None, None, 3)
    inside = np.concatenate([embed(learn), embed(varied(learn[third], 5))])
    fresh = np.concatenate([embed(unseen), embed(varied(unseen, 6))])
    return fit_embeddings(inside, np.concatenate([body_part, body_part[third]]), fresh, embed(outside))


def fit_embeddings(
    inside: Floats, body_part: NDArray[np.int32], fresh: Floats, outside: Floats
) -> OutOfDistributionDetector:
    """The same from embeddings ``(N, D)``."""
    centre = inside.mean(axis=0)
    scale = inside.std(axis=0) + 1e-3 * float(inside.std())
    standard = ((inside - centre) / scale).astype(np.float64)
    labels = np.unique(body_part[body_part >= 0])
    means = np.stack([standard[body_part == label].mean(axis=0) for label in labels])
    known = body_part >= 0
    residual = standard[known] - means[np.searchsorted(labels, body_part[known])]
    directions, variances, rest = _spread(residual)
    weights = _discriminant(standard, ((outside - centre) / scale).astype(np.float64))
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
    return replace(
        detector,
        score_middle=float(np.median(scores)),
        score_limit=float(np.quantile(scores, 1 - REJECTED)),
        limit=MARGIN * float(np.quantile(detector.mahalanobis(fresh), 1 - REJECTED)),
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


def _spread(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Leading directions of centred ``rows (N, D)``, their variances, and the mean variance of the others."""
    _, singular, right = np.linalg.svd(rows, full_matrices=False)
    variances = singular**2 / len(rows)
    # Small or repetitive data leave directions in which nothing varies; dividing by those tells nothing.
    kept = min(DIRECTIONS, len(variances) - 1, int((variances > 1e-9 * variances[0]).sum()))
    rest = float(variances[kept:].sum()) / max(1, rows.shape[1] - kept)
    return right[:kept], variances[:kept], max(rest, 1e-9)


def _discriminant(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights ``(D,)`` of a ridge logistic regression in the whitened leading directions of ``inside``."""
    directions, variances, _ = _spread(inside)
    white = (directions / np.sqrt(variances)[:, np.newaxis]).T
    table = np.concatenate([inside @ white, outside @ white])
    label = np.concatenate([np.zeros(len(inside)), np.ones(len(outside))])
    model = LogisticRegression(C=RIDGE, class_weight="balanced", max_iter=2000).fit(table, label)
    return np.asarray(white @ model.coef_[0], np.float64)


def _resharpen(square: Squares, generator: np.random.Generator) -> Squares:
    choice = generator.random()
    if choice < 1 / 3:
        return cv2.GaussianBlur(square, (0, 0), generator.uniform(0.4, 1.2)).astype(np.uint8)
    if choice < 2 / 3:
        soft = cv2.GaussianBlur(square, (0, 0), 1.5).astype(np.float32)
        sharp = square + generator.uniform(0.3, 1.2) * (square - soft)
        return np.clip(sharp, 0, 255).astype(np.uint8)
    return square
