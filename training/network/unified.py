"""The unified network: one pass gives body part, verdict, evidence map and scope embedding."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from training.network.backbones import BACKBONES
from training.network.names import FEATURES
from training.network.normalisation import FusedBatchNormalization
from training.network.pooling import Pool

WIDTH = 128


def unified(
    size: int,
    parts: int,
    *,
    backbone: str = "lite0",
    grid: str = "fine",
    pooling: str = "logsumexp",
    temperature: float = 1.0,
    dropout: float = 0.2,
    drop_path: float = 0.0,
) -> keras.Model:
    """One backbone, a part head and an evidence map, for training.

    Input ``picture (N, size, size, 1)``, grey levels 0 to 255. Outputs by name: ``part
    (N, parts)`` softmax, ``logit (N,)``, ``map (N, h, w)`` signed, linear in the features of layer
    ``evidence_features``, and ``embedding (N, D)``, the mean top features. With ``grid`` ``fine``
    the map has a position for 16 pixels and features of its own; with ``top`` it is read off the
    backbone's last features (32 pixels), which with mean pooling is the common classifier.
    ``drop_path`` is for ``lite0`` alone.
    """
    picture = keras.Input((size, size, 1), name="picture")
    features = BACKBONES[backbone](picture, **({"drop_path": drop_path} if drop_path else {}))
    pooled = layers.GlobalAveragePooling2D(name="top_mean")(features.top)

    part = layers.Dropout(dropout, name="part_dropout")(pooled)
    part = layers.Dense(parts, name="part_logits")(part)
    part = layers.Softmax(name="part")(part)

    if grid == "fine":
        evidence = _fused(features.stride16, features.top)
    else:
        evidence = layers.Activation("linear", name=FEATURES)(features.top)
    evidence = _read_off(evidence, dropout)
    logit = Pool(pooling, temperature, name="logit")(evidence)
    outputs = {"part": part, "logit": logit, "map": evidence, "embedding": pooled}
    return keras.Model(picture, outputs, name="unified")


def _fused(fine: Any, coarse: Any) -> Any:
    """``coarse`` brought into ``fine`` (twice its side), and one separable 3x3 over both."""
    down = _conv(coarse, "fuse_top")
    down = layers.UpSampling2D(2, interpolation="nearest", name="fuse_up")(down)
    x = layers.Add(name="fuse_add")([down, _conv(fine, "fuse_fine")])
    x = layers.ReLU(name="fuse_relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="evidence_dwconv")(x)
    x = layers.Conv2D(WIDTH, 1, use_bias=False, name="evidence_conv")(x)
    x = FusedBatchNormalization(name="evidence_bn")(x)
    return layers.ReLU(name=FEATURES)(x)


def _read_off(features: Any, dropout: float) -> Any:
    """The evidence of every position, linear and without a bias: ``(N, h, w, C)`` to ``(N, h, w)``.

    The map is exactly what the features say, and Grad-CAM at them is its positive part.
    """
    x = layers.SpatialDropout2D(dropout, name="evidence_dropout")(features)
    x = layers.Conv2D(1, 1, use_bias=False, name="evidence")(x)
    height, width = int(x.shape[1]), int(x.shape[2])
    return layers.Reshape((height, width), name="map")(x)


def _conv(x: Any, name: str) -> Any:
    x = layers.Conv2D(WIDTH, 1, use_bias=False, name=f"{name}_conv")(x)
    return FusedBatchNormalization(name=f"{name}_bn")(x)
