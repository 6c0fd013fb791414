"""EfficientNet-Lite0 on grey pictures, in the layout of its published ImageNet weights.

No squeeze-and-excite, ReLU6 throughout, "same" padding: the form that CPUs like best.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from training.normalisation import FusedBatchNormalization

#: kernel, stride, expansion, channels, repeats of each stage
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM_CHANNELS = 32
TOP_CHANNELS = 1280
EPSILON = 1e-3


@dataclass(frozen=True, slots=True)
class Features:
    """Keras tensors of a backbone: ``(N, S/16, S/16, C)`` and, at the end, ``(N, S/32, S/32, C)``."""

    stride16: Any
    top: Any


def lite0(picture: Any) -> Features:
    """Features of ``picture``, a Keras tensor ``(N, S, S, 1)`` of grey levels 0 to 255."""
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescale")(picture)
    x = layers.Conv2D(STEM_CHANNELS, 3, 2, "same", use_bias=False, name="stem_conv")(x)
    x = _normalise(x, "stem_bn")
    ends = {}
    index = 0
    for stage, (kernel, stride, expansion, channels, repeats) in enumerate(STAGES):
        for repeat in range(repeats):
            x = _block(x, f"block{index}", kernel, stride if repeat == 0 else 1, expansion, channels)
            index += 1
        ends[stage] = x
    top = layers.Conv2D(TOP_CHANNELS, 1, use_bias=False, name="top_conv")(x)
    return Features(stride16=ends[4], top=_normalise(top, "top_bn"))


def load_imagenet(model: keras.Model, path: Path) -> None:
    """Copy the ImageNet arrays of ``path`` (one per variable, RGB stem) into ``model``.

    A grey picture is the same value in all three channels, so summing the stem's kernel over
    RGB gives the same features exactly. Raises ``ValueError`` if an array fits no layer.
    """
    with np.load(path) as arrays:
        for key in arrays.files:
            name, variable = key.split("/")
            value: NDArray[np.float32] = arrays[key]
            if key == "stem_conv/kernel":
                value = value.sum(axis=2, keepdims=True)
            target = next((v for v in model.get_layer(name).weights if v.name == variable), None)
            if target is None or tuple(target.shape) != value.shape:
                raise ValueError(f"{path.name}: {key} {value.shape} fits no variable of the network.")
            target.assign(value)


def _block(x: Any, name: str, kernel: int, stride: int, expansion: int, channels: int) -> Any:
    inward = x
    if expansion > 1:
        width = int(x.shape[-1]) * expansion
        x = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _normalise(x, f"{name}_expand_bn")
    x = layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False, name=f"{name}_dwconv")(x)
    x = _normalise(x, f"{name}_dw_bn")
    x = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = FusedBatchNormalization(epsilon=EPSILON, name=f"{name}_project_bn")(x)
    if stride == 1 and int(inward.shape[-1]) == channels:
        x = layers.Add(name=f"{name}_add")([x, inward])
    return x


def _normalise(x: Any, name: str) -> Any:
    x = FusedBatchNormalization(epsilon=EPSILON, name=name)(x)
    return layers.ReLU(max_value=6, name=f"{name}_relu")(x)
