"""From a released Keras network to OpenVINO, and one way to run either over many pictures."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from inference_worker.preprocess import as_batch
from inference_worker.types import Outputs

NAMES = ("part", "logit", "map", "embedding")


def to_openvino(network: keras.Model, path: Path) -> None:
    """Write ``path`` (.xml, and .bin beside it) with f32 weights and named inputs and outputs."""
    # The converter reports its use to its makers unless this package is missing; it need not know.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None means "cannot be imported"
    import openvino

    with warnings.catch_warnings():
        # The tracer hands the one input over in a tuple; Keras takes it and complains.
        warnings.filterwarnings("ignore", message="The structure of `inputs`")
        model = openvino.convert_model(network)
    model.inputs[0].get_tensor().set_names({"picture"})
    for output in model.outputs:
        name = next((name for name in NAMES if name in output.get_names()), None)
        if name is None:
            raise ValueError(f"output {output.get_names()} of the converted network is none of {NAMES}")
        output.get_tensor().set_names({name})
    openvino.save_model(model, path, compress_to_fp16=False)


def run_openvino(path: Path, squares: NDArray[np.uint8], batch: int = 8) -> Outputs:
    """Outputs for ``uint8 (N, S, S)``, in f32."""
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return _collect(lambda rows: compiled({"picture": rows}), squares, batch)


def run_keras(network: keras.Model, squares: NDArray[np.uint8], batch: int = 16) -> Outputs:
    """Outputs for ``uint8 (N, S, S)``."""
    return _collect(lambda rows: network.predict_on_batch(rows), squares, batch)


def _collect(call: Any, squares: NDArray[np.uint8], batch: int) -> Outputs:
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in NAMES}
    for start in range(0, len(squares), batch):
        outputs = call(as_batch(squares[start : start + batch]))
        for name in NAMES:
            found[name].append(np.array(outputs[name], np.float32))
    return Outputs(**{name: np.concatenate(rows) for name, rows in found.items()})
