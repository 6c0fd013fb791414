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


class BodyPartLoss:
    """Cross-entropy ``(N,)`` of softmax ``part (N, P)`` with ``target (N, P)``; rows of 0 count nothing.

    ``weights`` are one for every part; without them all count 1.
    """

    def __init__(self, weights: Sequence[float] = ()) -> None:
        self.weights = tuple(weights)
        self.__name__ = "part_loss"

    def __call__(self, target: Any, part: Any) -> Any:
        target = ops.cast(target, part.dtype)
        if self.weights:
            target = target * ops.convert_to_tensor(self.weights, dtype=part.dtype)
        return -ops.sum(target * ops.log(ops.maximum(part, 1e-6)), axis=-1)


class VerdictLoss:
    """Binary cross-entropy ``(N,)`` on logits, targets 0 to 1; ``weights`` are of normal and abnormal."""

    def __init__(self, weights: Sequence[float] = (1.0, 1.0)) -> None:
        self.normal, self.abnormal = weights
        self.__name__ = "verdict_loss"

    def __call__(self, target: Any, logit: Any) -> Any:
        target, logit = ops.reshape(target, (-1,)), ops.reshape(logit, (-1,))
        weight = self.normal + (self.abnormal - self.normal) * target
        return weight * (ops.softplus(logit) - target * logit)


class MapLoss:
    """Binary cross-entropy of every cell of the map ``(N, h, w)``, weighed, mean over the cells: ``(N,)``.

    ``target`` is ``(N, h, w, 2)``: what the cell should be, 0 to 1, and what it weighs. A cell's own logit is
    its evidence less ``prior``: most cells are empty, and evidence above zero then means "worth a look"
    rather than "more likely than not".
    """

    def __init__(self, prior: float = 2.0) -> None:
        self.prior = prior
        self.__name__ = "map_loss"

    def __call__(self, target: Any, evidence: Any) -> Any:
        target = ops.cast(target, evidence.dtype)
        wanted, weight = target[..., 0], target[..., 1]
        logit = evidence - self.prior
        return ops.mean(weight * (ops.softplus(logit) - wanted * logit), axis=(1, 2))
