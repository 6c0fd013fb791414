"""TensorFlow, the GPU workers' runtime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_worker.manifest import BundleError
from inference_worker.runtimes.outputs import outputs
from inference_worker.types import Outputs

# TensorFlow looks at these when it is imported, and prints to standard error unless they are set before.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import tensorflow as tf


class TensorFlowRuntime:
    """One Keras network, compiled to one graph for any batch. Runs on the first GPU if there is one."""

    name = "tensorflow"
    at_once = 1

    def __init__(self, model: Path, size: int, *, precision: str = "f32", threads: int | None = None) -> None:
        if precision != "f32":
            raise ValueError(f"TensorFlow runs f32, not {precision!r}")
        self.version = str(tf.__version__)
        self.precision = precision
        _set_up(threads)
        try:
            network = keras.models.load_model(model, compile=False, safe_mode=True)
        except (OSError, ValueError, TypeError) as error:
            raise BundleError(f"{model} cannot be loaded by Keras {keras.__version__}") from error

        def forward(picture: Any) -> Any:
            return network(picture, training=False)

        signature = tf.TensorSpec((None, size, size, 1), tf.float32)
        self._pass = tf.function(forward, input_signature=[signature])

    def infer(self, batch: NDArray[np.float32], *, is_alone: bool = True) -> Outputs:
        """One pass over ``(N, size, size, 1)``, grey levels 0 to 255; always alone."""
        arrays = self._pass(tf.constant(batch, tf.float32))
        return outputs({name: tensor.numpy() for name, tensor in arrays.items()}, len(batch))


def _set_up(threads: int | None) -> None:
    # TensorFloat-32 would keep ten bits of the fraction on newer GPUs and call it f32.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)
