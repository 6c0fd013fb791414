"""A trained network built of Keras' own layers, and the same as an OpenVINO graph: both load without us."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import tensorflow
from keras import layers

from inference_worker.runtimes import refuse_telemetry
from training.network.names import OUTPUTS
from training.network.normalisation import FusedBatchNormalization
from training.network.pooling import Pool, pool

if TYPE_CHECKING:
    import openvino

#: What a network of each role gives.
GIVEN = {"unified": OUTPUTS, "body_part": ("part", "embedding"), "abnormality": ("logit", "map")}


def portable(network: keras.Model, given: Sequence[str] = OUTPUTS) -> keras.Model:
    """The same function built of Keras' own layers only, so that it loads without this package.

    ``given`` are the outputs that the released network has; what only the others need is left out.
    """
    head = network.get_layer("logit")

    def own(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, FusedBatchNormalization):
            return layers.BatchNormalization.from_config(config)
        if isinstance(layer, Pool):
            return layers.Activation("linear", name="unpooled")
        if isinstance(layer, layers.Normalization):
            # Its weights would reach no copy's computation (``set_normalisation`` says why).
            mean, variance, _ = layer.get_weights()
            return layers.Normalization(mean=mean.tolist(), variance=variance.tolist(), name=layer.name)
        return layer.__class__.from_config(config)

    clone = keras.models.clone_model(network, clone_function=own)
    for layer in network.layers:
        if layer is not head and layer.weights and not isinstance(layer, layers.Normalization):
            clone.get_layer(layer.name).set_weights(layer.get_weights())
    evidence = clone.output["map"]
    bias = float(head.get_weights()[0])
    logit = pool(evidence, head.kind, head.temperature) + bias
    everything = {**clone.output, "logit": logit}
    return keras.Model(clone.input, {name: everything[name] for name in given}, name=network.name)


def to_openvino(network: keras.Model, path: Path) -> None:
    """Write ``path`` (.xml, and .bin beside it) with f32 weights and named inputs and outputs."""
    model = convert(network)
    import openvino  # after its telemetry has been refused

    model.inputs[0].get_tensor().set_names({"picture"})
    for output in model.outputs:
        name = next((name for name in OUTPUTS if name in output.get_names()), None)
        if name is None:
            raise ValueError(f"output {output.get_names()} of the converted network is none of {OUTPUTS}")
        output.get_tensor().set_names({name})
    openvino.save_model(model, path, compress_to_fp16=False)


def convert(network: keras.Model) -> openvino.Model:
    """The network as an OpenVINO graph, with the names that OpenVINO gives."""
    refuse_telemetry()
    import openvino
    from openvino.frontend.tensorflow import utils

    # OpenVINO 2026.4 learns TensorFlow's version by `exec("import tensorflow")` and `exec("del tensorflow")`.
    # Since Python 3.13 each exec has variables of its own (PEP 667), so that the second one fails.
    utils.get_environment_setup = lambda framework: {"tensorflow": tensorflow.__version__}
    with warnings.catch_warnings():
        # The tracer hands the one input over in a tuple; Keras takes it and complains.
        warnings.filterwarnings("ignore", message="The structure of `inputs`")
        return openvino.convert_model(network)
