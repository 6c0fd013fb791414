"""Is this a picture the networks know? Distance of its embedding from the training radiographs.

A Gaussian around every body part with one covariance for all, in the form of probabilistic PCA:
exact variances along the leading directions, one variance for all the others. NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ScopeGate:
    """The gate of one bundle.

    ``centre`` and ``scale`` ``(D,)`` standardise an embedding, ``means`` ``(C, D)`` are the
    parts' means after that, ``directions`` ``(K, D)`` orthonormal rows with variances
    ``variances`` ``(K,)``, ``rest`` the mean variance along the other ``D - K`` directions.
    ``limit`` is the root mean square distance beyond which a picture is out of scope, and
    ``chroma_limit`` the colour (see ``Radiograph.chroma``) beyond which it is no radiograph.
    """

    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    means: NDArray[np.float32]
    directions: NDArray[np.float32]
    variances: NDArray[np.float32]
    rest: float
    limit: float
    chroma_limit: float

    @classmethod
    def load(cls, path: Path, limit: float, chroma_limit: float) -> ScopeGate:
        """Read ``scope.npz``. Raises ``OSError``, ``KeyError`` or ``ValueError`` for what is no such file."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(
                centre=arrays["centre"],
                scale=arrays["scale"],
                means=arrays["means"],
                directions=arrays["directions"],
                variances=arrays["variances"],
                rest=float(arrays["rest"]),
                limit=limit,
                chroma_limit=chroma_limit,
            )

    def distance(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(N, D)`` to ``(N,)``: distance from the nearest part over the limit; above 1 is out of scope."""
        return (self.raw_distance(embedding) / self.limit).astype(np.float32)

    def raw_distance(self, embedding: NDArray[np.float32]) -> NDArray[np.float64]:
        """``(N, D)`` to ``(N,)``: Mahalanobis distance per square root of dimension; about 1 in scope."""
        standard = (embedding.astype(np.float64) - self.centre) / self.scale
        away = standard[:, np.newaxis, :] - self.means
        along = away @ self.directions.T.astype(np.float64)
        inside = (along**2 / self.variances).sum(axis=-1)
        outside = np.maximum((away**2).sum(axis=-1) - (along**2).sum(axis=-1), 0.0) / self.rest
        nearest = (inside + outside).min(axis=1)
        return np.asarray(np.sqrt(nearest / self.centre.size), np.float64)

    def colour(self, chroma: float) -> float:
        """``Radiograph.chroma`` over its limit; above 1 is no radiograph, whatever the network says."""
        return chroma / self.chroma_limit
