"""Is this a picture the networks know? How far its embedding lies from the training radiographs.

Two measures, each divided by its own limit; the larger one counts. The Mahalanobis distance from
the nearest body part (one covariance for all parts, as probabilistic PCA: exact variances along
the leading directions, one for all the others) needs no example of what is out of scope. A linear
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
    """The gate of one bundle.

    ``centre`` and ``scale`` ``(D,)`` standardise an embedding. ``means`` ``(C, D)`` are the
    parts' means after that, ``directions`` ``(K, D)`` orthonormal rows with variances
    ``variances`` ``(K,)``, ``rest`` the mean variance along the other ``D - K`` directions.
    ``weights`` ``(D,)`` give the linear score, of which ``score_middle`` is usual in scope and
    ``score_limit`` the limit. ``limit`` bounds the Mahalanobis distance, ``chroma_limit`` the
    colour (see ``Radiograph.chroma``).
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
        """Read a bundle's file. Raises ``OSError``, ``KeyError`` or ``ValueError`` for any other file."""
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
        """``(N, D)`` to ``(N,)``: 0 in the midst of the known, 1 at the limit; above 1 is out of scope."""
        scored = (self.score(embedding) - self.score_middle) / (self.score_limit - self.score_middle)
        return np.maximum(self.mahalanobis(embedding) / self.limit, scored).astype(np.float32)

    def mahalanobis(self, embedding: Floats) -> NDArray[np.float64]:
        """``(N, D)`` to ``(N,)``: distance from the nearest part, root mean square over dimensions."""
        away = self._standard(embedding)[:, np.newaxis, :] - self.means
        along = away @ self.directions.T.astype(np.float64)
        inside = (along**2 / self.variances).sum(axis=-1)
        outside = np.maximum((away**2).sum(axis=-1) - (along**2).sum(axis=-1), 0.0) / self.rest
        nearest = (inside + outside).min(axis=1)
        return np.asarray(np.sqrt(nearest / self.centre.size), np.float64)

    def score(self, embedding: Floats) -> NDArray[np.float64]:
        """``(N, D)`` to ``(N,)``: the linear score, larger for what is out of scope."""
        return np.asarray(self._standard(embedding) @ self.weights.astype(np.float64), np.float64)

    def colour(self, chroma: float) -> float:
        """``Radiograph.chroma`` over its limit; above 1 is no radiograph, whatever the network says."""
        return chroma / self.chroma_limit

    def _standard(self, embedding: Floats) -> NDArray[np.float64]:
        return np.asarray((embedding.astype(np.float64) - self.centre) / self.scale, np.float64)
