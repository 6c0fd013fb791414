"""Other ways to a probability and a Grad-CAM from the same Keras network."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from tf_keras_vis.gradcam import Gradcam

Rival = Callable[[], object]


class Rivals:
    """``picture`` is the input ``float32 (1, size, size, 1)``, ``features`` the last features' layer.

    Models are built and graphs traced before the clock starts, which is kinder to the recipes than
    the way in which they are usually written.
    """

    def __init__(self, model: Path, features: str, picture: NDArray[np.float32]) -> None:
        # A network with one named input warns of the structure of every bare tensor that it is given.
        warnings.filterwarnings("ignore", message="The structure of `inputs`")
        self._network = keras.models.load_model(model, compile=False)
        layer = self._network.get_layer(features).output
        self._logit = keras.Model(self._network.inputs, self._network.output["logit"])
        self._features = keras.Model(self._network.inputs, [layer, self._network.output["logit"]])
        self._layer = features
        self._picture = picture
        self._tensor = tf.constant(picture)
        self._cam = Gradcam(self._logit, clone=False)
        self._graph = tf.function(self._differentiated)

    def usual_recipe(self) -> NDArray[np.float32]:
        """Eager ``predict``, a feature model and a GradientTape, as in tutorials and the first version."""
        self._network.predict(self._picture, verbose=0)
        _, heatmap = self._differentiated(self._tensor)
        return np.asarray(heatmap)

    def tf_keras_vis(self) -> Any:
        """The library's Gradcam, heatmap only: no probability, no body part."""
        return self._cam(lambda logit: logit, self._picture, penultimate_layer=self._layer)

    def compiled_autodiff(self) -> NDArray[np.float32]:
        """One compiled TensorFlow graph of the forward pass and the gradient."""
        _, heatmap = self._graph(self._tensor)
        return np.asarray(heatmap)

    def _differentiated(self, picture: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            features, logit = self._features(picture, training=False)
        weights = tf.reduce_mean(tape.gradient(logit, features), axis=(1, 2))
        return logit, tf.nn.relu(tf.einsum("nhwk,nk->nhw", features, weights))[0]
