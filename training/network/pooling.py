"""From an evidence map to a logit: poolings under which Grad-CAM has a closed form.

Each commutes with adding a constant, so the gradients of the pooled value over the positions sum
to one, and Grad-CAM at the features of a position-wise linear head is ``relu(map) / (h * w)``.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from training.network.names import POOLINGS

#: How many positions ``topk`` averages.
TOP = 8


def pool(evidence: Any, kind: str, temperature: float = 1.0) -> Any:
    """``(N, h, w)`` to ``(N,)``. ``logsumexp`` is over the mean, so that a flat map pools to its level."""
    flat = ops.reshape(evidence, (-1, int(evidence.shape[1]) * int(evidence.shape[2])))
    if kind == "mean":
        return ops.mean(flat, axis=1)
    if kind == "logsumexp":
        peak = ops.max(flat, axis=1, keepdims=True)
        spread = ops.mean(ops.exp((flat - peak) / temperature), axis=1)
        return ops.max(flat, axis=1) + temperature * ops.log(spread)
    if kind == "topk":
        return ops.mean(ops.top_k(flat, TOP)[0], axis=1)
    if kind == "max":
        return ops.max(flat, axis=1)
    raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, not {kind!r}")


@keras.saving.register_keras_serializable("training")
class Pool(keras.layers.Layer):
    """``pool`` as a layer with a learnt bias: ``(N, h, w)`` to the logit ``(N,)``."""

    def __init__(self, kind: str, temperature: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind, self.temperature = kind, temperature

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.bias = self.add_weight(shape=(), initializer="zeros", name="bias")

    def call(self, evidence: Any) -> Any:
        return pool(evidence, self.kind, self.temperature) + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None]:
        return (input_shape[0],)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind, "temperature": self.temperature}
