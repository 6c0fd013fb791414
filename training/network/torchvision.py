"""torchvision's ImageNet weights for the backbones of ``keras.applications``: names, layouts, differences.

Compared: ``densenet.py`` and ``efficientnet.py`` of ``torchvision/models`` with those of
``keras/src/applications``. What differs, and what that costs:

- **Epsilon of batch normalisation.** torchvision has 1e-5 everywhere, Keras 1.001e-5 (DenseNet) and 1e-3
  (EfficientNet). The difference goes into the moving variance, so that both are the same function as long as
  the moving statistics are used. In a training step Keras normalises by the batch's own and with its own
  epsilon; a channel whose variance is not far above 1e-3 is weaker there until training has made up for it.
- **Input.** Both of torchvision's networks want levels as ``(x / 255 - mean) / deviation`` of ImageNet.
  DenseNet's rescaling here is that. EfficientNet's own normalisation layer is set to it, without the further
  division that belongs to Keras' file.
- **Padding of EfficientNet's five convolutions with a stride of 2.** torchvision pads all sides alike, Keras
  pads an even side by one more at its end, so each of them looks one of its own pixels further right and
  down. Together that is torchvision's network on a picture moved by 1 + 2 + 4 + 8 + 16 = 31 pixels: the same
  features, but for the border, where the zeros lie elsewhere, and a little everywhere through the squeezed
  means. Nothing is lost for fine-tuning. DenseNet pads alike (its max pooling by zeros instead of by nothing,
  which after a ReLU is the same).
- Squeeze-and-excite has the same widths and activations. Both drop whole residuals in training only.

The classifiers and the counts of batches (``num_batches_tracked``) have no place here and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

Array = NDArray[Any]
EPSILON = 1e-5
#: torchvision's levels of red, green and blue over ImageNet, 0 to 1.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: What a module's tensors are called in Keras, by the kind of its layer.
_NORMALISATION = {
    "weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance",
}  # fmt: skip
_CONVOLUTION = {"weight": "kernel", "bias": "bias"}
_DENSENET_PLACES = {"norm1": "0_bn", "conv1": "1_conv", "norm2": "1_bn", "conv2": "2_conv"}
_DENSENET_ENDS = {
    "features.conv0": "conv1_conv", "features.norm0": "conv1_bn", "features.norm5": "bn",
}  # fmt: skip
_EFFICIENTNET_PLACES = {
    "00": "expand_conv", "01": "expand_bn", "10": "dwconv", "11": "bn",
    "2fc1": "se_reduce", "2fc2": "se_expand", "30": "project_conv", "31": "project_bn",
}  # fmt: skip
_EFFICIENTNET_ENDS = {
    "features.0.0": "stem_conv", "features.0.1": "stem_bn",
    "features.8.0": "top_conv", "features.8.1": "top_bn",
}  # fmt: skip


def load_torchvision(network: keras.Model, backbone: str, state: Mapping[str, Array]) -> None:
    """Put torchvision's ``state`` (names to arrays) into the ``backbone`` of ``network``.

    Raises ``ValueError``, and changes nothing, if a tensor has no place, or another shape than its
    place, or a place gets none.
    """
    layer_of = _LAYER_OF[backbone]
    arrays: dict[str, dict[str, Array]] = {}
    for name, tensor in state.items():
        module, _, kind = name.rpartition(".")
        if module.startswith("classifier") or kind == "num_batches_tracked":
            continue
        layer = _layer(network, layer_of(module))
        variable = (_NORMALISATION if isinstance(layer, layers.BatchNormalization) else _CONVOLUTION).get(
            kind
        )
        if layer is None or variable is None:
            raise ValueError(f"{name} has no place in torchvision's {backbone}.")
        arrays.setdefault(layer.name, {})[variable] = _fitted(layer, variable, tensor)
    for name in _names(network, backbone):
        layer, own = network.get_layer(name), arrays.get(name, {})
        for weight in layer.weights:
            if weight.name not in own:
                raise ValueError(f"nothing in it is for {name}'s {weight.name}.")
            if tuple(weight.shape) != own[weight.name].shape:
                raise ValueError(f"{name}'s {weight.name} has another shape than the one in it.")
    for name, own in arrays.items():
        layer = network.get_layer(name)
        layer.set_weights([own[weight.name] for weight in layer.weights])
    if backbone == "efficientnetb0":
        set_normalisation(network, np.array(MEAN), np.square(DEVIATION))


def set_normalisation(network: keras.Model, mean: Array, variance: Array) -> None:
    """Let the one ``Normalization`` layer of ``network`` use these, each ``(3,)``."""
    layer = next(layer for layer in network.layers if isinstance(layer, layers.Normalization))
    layer.set_weights([mean, variance, np.array(0)])
    # It computes with copies of its weights, which only this renews.
    layer.finalize_state()


def _densenet(module: str) -> str | None:
    """Keras' layer for torchvision's ``module``; its published files say ``norm.1`` for ``norm1``."""
    if match := re.fullmatch(r"features\.denseblock(\d)\.denselayer(\d+)\.(norm|conv)\.?([12])", module):
        block, layer, kind, number = match.groups()
        return f"conv{int(block) + 1}_block{layer}_{_DENSENET_PLACES[kind + number]}"
    if match := re.fullmatch(r"features\.transition(\d)\.(norm|conv)", module):
        return f"pool{int(match[1]) + 1}_{'bn' if match[2] == 'norm' else 'conv'}"
    return _DENSENET_ENDS.get(module)


def _efficientnet(module: str) -> str | None:
    if match := re.fullmatch(r"features\.([1-7])\.([0-3])\.block\.(\d)\.(\w+)", module):
        stage, repeat, step, kind = match.groups()
        # The first stage does not expand, so its steps are counted from one less.
        place = _EFFICIENTNET_PLACES.get(f"{int(step) + (stage == '1')}{kind}")
        return f"block{stage}{'abcd'[int(repeat)]}_{place}"
    return _EFFICIENTNET_ENDS.get(module)


_LAYER_OF: dict[str, Callable[[str], str | None]] = {
    "densenet169": _densenet,
    "efficientnetb0": _efficientnet,
}


def _layer(network: keras.Model, name: str | None) -> keras.layers.Layer | None:
    return next((layer for layer in network.layers if layer.name == name), None)


def _names(network: keras.Model, backbone: str) -> list[str]:
    """The backbone's layers that torchvision has weights for."""
    pattern = {"densenet169": r"(conv|pool)\d_.*|bn", "efficientnetb0": r"(stem|top|block\d.)_.*"}[backbone]
    return [layer.name for layer in network.layers if layer.weights and re.fullmatch(pattern, layer.name)]


def _fitted(layer: keras.layers.Layer, variable: str, tensor: Array) -> Array:
    """``tensor`` as Keras lays it out."""
    if variable == "moving_variance":
        # Keras adds its own epsilon later; in double precision, since the difference may be 1e-8.
        return np.asarray(tensor, np.float64) + (EPSILON - float(layer.epsilon))
    if variable != "kernel":
        return tensor
    if tensor.ndim != 4:
        raise ValueError(f"{layer.name}'s kernel has another shape than the one in it.")
    # Out, in, height, width; each channel of a depthwise kernel is an "out" with one "in".
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    return tensor.transpose(2, 3, 0, 1) if depthwise else tensor.transpose(2, 3, 1, 0)
