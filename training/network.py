"""The unified network: one pass gives body part, verdict, evidence map and scope embedding."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from training.lite0 import lite0
from training.pooling import Pool

WIDTH = 128


def unified(
    size: int, parts: int, *, pooling: str = "logsumexp", temperature: float = 1.0, dropout: float = 0.2
) -> keras.Model:
    """Lite0 with a 1/16 evidence map.

    Input ``picture (N, size, size, 1)``, grey levels 0 to 255. Outputs by name: ``part
    (N, parts)`` softmax, ``logit (N,)``, ``map (N, size/16, size/16)`` signed, linear in the
    features of layer ``evidence_features``, and ``embedding (N, D)``.
    """
    picture = keras.Input((size, size, 1), name="picture")
    features = lite0(picture)
    pooled = layers.GlobalAveragePooling2D(name="top_mean")(features.top)

    part = layers.Dropout(dropout, name="part_dropout")(pooled)
    part = layers.Dense(parts, name="part_logits", dtype="float32")(part)
    part = layers.Softmax(name="part", dtype="float32")(part)

    evidence = evidence_map(features.stride16, features.top, dropout)
    logit = Pool(pooling, temperature, name="logit", dtype="float32")(evidence)

    # Photographs and noise differ in texture, other body regions in the top features: keep both.
    texture = layers.GlobalAveragePooling2D(name="stride8_mean")(features.stride8)
    shape = layers.GlobalAveragePooling2D(name="stride16_mean")(features.stride16)
    embedding = layers.Concatenate(name="embedding", dtype="float32")([texture, shape, pooled])
    return keras.Model(
        picture, {"part": part, "logit": logit, "map": evidence, "embedding": embedding}, name="unified"
    )


def evidence_map(fine: Any, coarse: Any, dropout: float) -> Any:
    """Fuse ``coarse`` into ``fine`` (twice its side) and read evidence off each position, linearly.

    The last convolution has no bias: the map is exactly what the features say, and Grad-CAM
    at those features is its positive part.
    """
    down = _conv(coarse, "fuse_top")
    down = layers.UpSampling2D(2, interpolation="nearest", name="fuse_up")(down)
    x = layers.Add(name="fuse_add")([down, _conv(fine, "fuse_fine")])
    x = layers.ReLU(name="fuse_relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="evidence_dwconv")(x)
    x = layers.Conv2D(WIDTH, 1, use_bias=False, name="evidence_conv")(x)
    x = layers.BatchNormalization(name="evidence_bn")(x)
    x = layers.ReLU(name="evidence_features")(x)
    x = layers.SpatialDropout2D(dropout, name="evidence_dropout")(x)
    x = layers.Conv2D(1, 1, use_bias=False, name="evidence", dtype="float32")(x)
    height, width = int(x.shape[1]), int(x.shape[2])
    return layers.Reshape((height, width), name="map", dtype="float32")(x)


def _conv(x: Any, name: str) -> Any:
    x = layers.Conv2D(WIDTH, 1, use_bias=False, name=f"{name}_conv")(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)
