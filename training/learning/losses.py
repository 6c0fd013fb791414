"""What the unified network is taught: part, verdict, and where the evidence lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray


def class_weights(target: NDArray[Any], classes: int) -> list[float]:
    """What each of ``classes`` counts so that all weigh alike and the mean picture weighs 1.

    Negative targets are unknown and left out; a class without pictures counts 0.
    """
    counts = np.bincount(target[target >= 0].astype(int), minlength=classes)
    present = int((counts > 0).sum())
    return [float(counts.sum() / (present * count)) if count else 0.0 for count in counts]


class PartLoss:
    """Cross-entropy ``(N,)`` of softmax ``part (N, P)``; pictures with target < 0 count nothing.

    ``weights`` are one for every part; without them all count 1.
    """

    def __init__(self, weights: Sequence[float] = ()) -> None:
        self.weights = tuple(weights)
        self.__name__ = "part_loss"

    def __call__(self, target: Any, part: Any) -> Any:
        target = ops.reshape(target, (-1,))
        known = ops.cast(target >= 0, part.dtype)
        wanted = ops.one_hot(ops.maximum(target, 0), part.shape[-1], dtype=part.dtype)
        likelihood = ops.sum(wanted * part, axis=-1)
        if self.weights:
            known = known * ops.sum(wanted * ops.convert_to_tensor(self.weights, dtype=part.dtype), axis=-1)
        return -known * ops.log(ops.maximum(likelihood, 1e-6))


class VerdictLoss:
    """Binary cross-entropy ``(N,)`` on logits; ``weights`` are of the normal and the abnormal."""

    def __init__(self, weights: Sequence[float] = (1.0, 1.0)) -> None:
        self.normal, self.abnormal = weights
        self.__name__ = "verdict_loss"

    def __call__(self, target: Any, logit: Any) -> Any:
        target, logit = ops.reshape(target, (-1,)), ops.reshape(logit, (-1,))
        weight = self.normal + (self.abnormal - self.normal) * target
        return weight * (ops.softplus(logit) - target * logit)


class MapLoss:
    """Binary cross-entropy of every cell of the map against the boxes, mean over the cells.

    A cell's own logit is its evidence less ``prior``: most cells are empty, and evidence above
    zero then means "worth a look" rather than "more likely than not". Boxed cells weigh
    ``positive`` times; cells with a negative target are unknown and count nothing.
    """

    def __init__(self, positive: float = 5.0, prior: float = 2.0) -> None:
        self.positive, self.prior = positive, prior
        self.__name__ = "map_loss"

    def __call__(self, target: Any, evidence: Any) -> Any:
        logit = evidence - self.prior
        known = ops.cast(target >= 0, logit.dtype)
        target = ops.maximum(target, 0)
        weight = known * (1 + (self.positive - 1) * target)
        return ops.mean(weight * (ops.softplus(logit) - target * logit), axis=(1, 2))
