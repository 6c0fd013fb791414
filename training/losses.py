"""What the unified network is taught: part, verdict, and where the evidence lies."""

from __future__ import annotations

from typing import Any

from keras import ops


def part_loss(target: Any, part: Any) -> Any:
    """Cross-entropy ``(N,)`` of softmax ``part (N, P)``; pictures with target < 0 count nothing."""
    target = ops.reshape(target, (-1,))
    known = ops.cast(target >= 0, part.dtype)
    wanted = ops.one_hot(ops.maximum(target, 0), part.shape[-1], dtype=part.dtype)
    likelihood = ops.sum(wanted * part, axis=-1)
    return -known * ops.log(ops.maximum(likelihood, 1e-6))


def verdict_loss(target: Any, logit: Any) -> Any:
    """Binary cross-entropy ``(N,)`` on logits."""
    target, logit = ops.reshape(target, (-1,)), ops.reshape(logit, (-1,))
    return ops.softplus(logit) - target * logit


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
