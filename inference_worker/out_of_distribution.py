"""The out-of-distribution detector: how far a picture's embedding lies from the training radiographs.

Two measures, each divided by its own limit; the larger one counts. The Mahalanobis distance from
the nearest body part (one covariance for all body parts, as probabilistic PCA: exact variances along
the leading directions, one for all the others) needs no example of an out-of-distribution picture. A linear
score learnt from photographs, drawings, noise and a chest radiograph is sharper near those. NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class OutOfDistributionDetector:
    """The detector of one bundle.

    ``centre`` and ``scale`` ``(D,)`` standardise an embedding. ``means`` ``(C, D)`` are the
    body parts' means after that, ``directions`` ``(K, D)`` orthonormal rows with variances
    ``variances`` ``(K,)``, ``rest`` the mean variance along the other ``D - K`` directions.
    ``weights`` ``(D,)`` give the linear score, of which ``score_middle`` is typical of radiographs
    like the training ones and ``score_limit`` is the limit. ``limit`` bounds the Mahalanobis distance,
    ``chroma_limit`` the colour (see ``Radiograph.chroma``).
    """

    centre: Floats
    scale: Floats
    means: Floats
    directions: Floats
    variances: Floats
    rest: float
    weights: Floats
    score_middle: float
    score_limit: float
    limit: float
    chroma_limit: float

    @classmethod
    def load(cls, path: Path, limit: float, chroma_limit: float) -> OutOfDistributionDetector:
        """Load a bundle's ``.npz`` file. Raises ``OSError``, ``KeyError`` or ``ValueError`` for any other."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(
                centre=arrays["centre"],
                scale=arrays["scale"],
                means=arrays["means"],
                directions=arrays["directions"],
                variances=arrays["variances"],
                rest=float(arrays["rest"]),
                weights=arrays["weights"],
                score_middle=float(arrays["score_middle"]),
                score_limit=float(arrays["score_limit"]),
                limit=limit,
                chroma_limit=chroma_limit,
            )

    def distance(self, embedding: Floats) -> Floats:
        """``(N, D)`` to ``(N,)``: 0 amid the training radiographs, above 1 out of distribution."""
        scored = (self.score(embedding) - self.score_middle) / (self.score_limit - self.score_middle)
        return np.maximum(self.mahalanobis(embedding) / self.limit, scored).astype(np.float32)

    def mahalanobis(self, embedding: Floats) -> NDArray[np.float64]:
        """``(N, D)`` to ``(N,)``: distance from the nearest body part, root mean square over dimensions."""
        away = self._standard(embedding)[:, np.newaxis, :] - self.means
        along = away @ self.directions.T.astype(np.float64)
        inside = (along**2 / self.variances).sum(axis=-1)
        outside = np.maximum((away**2).sum(axis=-1) - (along**2).sum(axis=-1), 0.0) / self.rest
        nearest = (inside + outside).min(axis=1)
        return np.asarray(np.sqrt(nearest / self.centre.size), np.float64)

    def score(self, embedding: Floats) -> NDArray[np.float64]:
        """``(N, D)`` to ``(N,)``: the linear score, larger for out-of-distribution pictures."""
        return np.asarray(self._standard(embedding) @ self.weights.astype(np.float64), np.float64)

    def colour(self, chroma: float) -> float:
        """``Radiograph.chroma`` over its limit; above 1 it is no radiograph, whatever the network answers."""
        return chroma / self.chroma_limit

    def _standard(self, embedding: Floats) -> NDArray[np.float64]:
        return np.asarray((embedding.astype(np.float64) - self.centre) / self.scale, np.float64)
