"""Fits the scope gate of a bundle: see ``inference_worker/scope.py`` for what it computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference_worker.scope import ScopeGate

#: Directions with a variance of their own.
DIRECTIONS = 96
#: Share of unseen radiographs that the gate may turn away.
REJECTED = 0.015
#: Colour of a picture, 0 to 255, from which it is no radiograph; scanned films are slightly tinted.
CHROMA_LIMIT = 24.0


def fit(
    embedding: NDArray[np.float32],
    part: NDArray[np.int32],
    unseen: NDArray[np.float32],
    rejected: float = REJECTED,
    directions: int = DIRECTIONS,
) -> ScopeGate:
    """A gate around training ``embedding (N, D)``; its limit turns away ``rejected`` of ``unseen (M, D)``.

    ``part`` is the part's index or negative where it has none; the limit comes from pictures
    that the network was not trained on, since those lie closer together.
    """
    centre = embedding.mean(axis=0)
    scale = embedding.std(axis=0) + 1e-3 * float(embedding.std())
    standard = ((embedding - centre) / scale).astype(np.float64)
    labels = np.unique(part[part >= 0])
    means = np.stack([standard[part == label].mean(axis=0) for label in labels])
    own = part >= 0
    residual = standard[own] - means[np.searchsorted(labels, part[own])]
    _, singular, right = np.linalg.svd(residual, full_matrices=False)
    variances = singular**2 / len(residual)
    kept = min(directions, len(variances))
    dimensions = embedding.shape[1]
    rest = float(variances[kept:].sum()) / max(1, dimensions - kept)
    gate = ScopeGate(
        centre=centre.astype(np.float32),
        scale=scale.astype(np.float32),
        means=means.astype(np.float32),
        directions=right[:kept].astype(np.float32),
        variances=variances[:kept].astype(np.float32),
        rest=max(rest, 1e-9),
        limit=1.0,
        chroma_limit=CHROMA_LIMIT,
    )
    return replace(gate, limit=float(np.quantile(gate.raw_distance(unseen), 1 - rejected)))


def save(gate: ScopeGate, path: Path) -> None:
    """Write what ``ScopeGate.load`` reads; the limits belong to the manifest."""
    np.savez(
        path,
        centre=gate.centre,
        scale=gate.scale,
        means=gate.means,
        directions=gate.directions,
        variances=gate.variances,
        rest=np.float64(gate.rest),
    )
