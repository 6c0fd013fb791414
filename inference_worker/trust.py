"""How far a heatmap can be believed, from how the verdict is made up of its positions.

With log-sum-exp pooling every position has an exact share in the logit (its softmax weight at the
pooling's temperature). Evidence that sits in one place, away from the border, with no rival
elsewhere points at fractures more often than evidence that is spread. NumPy only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_worker.manifest import TRUST_FEATURES

#: Positions around the peak that count as the hot region: a square of ``2 * REACH + 1``.
REACH = 1
FEATURES = TRUST_FEATURES


def trust(evidence: NDArray[np.float32], parameters: Mapping[str, Any]) -> float:
    """Trust in ``evidence (h, w)``, the signed map cropped to the picture: 0 to 1.

    ``parameters`` is the manifest's ``trust``: ``temperature``, ``intercept`` and ``weights`` by
    feature. It estimates how likely the peak lies on a fracture, given that there is one.
    """
    values = features(evidence, float(parameters["temperature"]))
    weights = parameters["weights"]
    z = float(parameters["intercept"]) + sum(float(weights[name]) * values[name] for name in FEATURES)
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, z))))


def features(evidence: NDArray[np.float32], temperature: float) -> dict[str, float]:
    """Compute the terms of the trust score, by the names of `FEATURES`.

    ``peak``: the largest evidence, in logit units. ``focus``: share of the pooled evidence in the
    hot region around the peak. ``border``: share on the outermost positions. ``rival``: the
    largest weight outside the hot region, relative to the peak's own (1: as strong).
    """
    values = evidence.astype(np.float64)
    weights = np.exp((values - values.max()) / temperature)
    shares = weights / weights.sum()
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    hot = np.zeros(values.shape, bool)
    hot[
        max(0, int(row) - REACH) : int(row) + REACH + 1,
        max(0, int(column) - REACH) : int(column) + REACH + 1,
    ] = True
    inner = np.zeros(values.shape, bool)
    inner[1:-1, 1:-1] = True
    elsewhere = weights[~hot]
    return {
        "peak": float(values.max()),
        "focus": float(shares[hot].sum()),
        "border": float(shares[~inner].sum()),
        "rival": float(elsewhere.max()) if elsewhere.size else 0.0,
    }
