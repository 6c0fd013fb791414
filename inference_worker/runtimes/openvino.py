"""OpenVINO, the CPU workers' runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from inference_worker.manifest import BundleError
from inference_worker.runtimes.outputs import outputs
from inference_worker.types import Outputs

PRECISIONS = ("f32", "bf16", "f16")


def capabilities() -> frozenset[str]:
    """What this processor computes in, as OpenVINO calls it: ``FP32``, ``BF16``, ``INT8`` …"""
    return frozenset(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


class OpenVinoRuntime:
    """One IR graph compiled for the CPU. Make it after a fork, not before: its threads do not survive one.

    ``precision`` is a hint that must be given: on CPUs with bf16 OpenVINO would choose that by
    itself, and nobody would have compared the answers (``inference_worker.runtimes.precision``).
    """

    name = "openvino"

    def __init__(self, model: Path, size: int, *, precision: str = "f32", threads: int | None = None) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"OpenVINO runs {', '.join(PRECISIONS)}, not {precision!r}")
        self.version = openvino.get_version().split("-")[0]
        self.precision = precision
        options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = str(threads)
        core = openvino.Core()
        try:
            graph = core.read_model(model)
        except RuntimeError as error:
            raise BundleError(f"{model} cannot be loaded by OpenVINO {self.version}") from error
        # Shapes that are known make the single pass faster than a dynamic batch; larger batches use
        # their own compilation, made when the first one comes.
        self._core, self._graph, self._options = core, graph, options
        self._requests: dict[bool, openvino.InferRequest] = {}
        self._size = size

    def infer(self, batch: NDArray[np.float32]) -> Outputs:
        """One pass over ``(N, size, size, 1)``, grey levels 0 to 255."""
        request = self._request(is_single=len(batch) == 1)
        request.infer({0: np.ascontiguousarray(batch, np.float32)}, share_inputs=True)
        # A port keeps the names of the layers that were folded into it beside its own.
        arrays = {
            name: request.get_tensor(port).data for port in request.model_outputs for name in port.names
        }
        return outputs(arrays, len(batch))

    def _request(self, *, is_single: bool) -> openvino.InferRequest:
        if is_single not in self._requests:
            graph = self._graph.clone()
            graph.reshape([1 if is_single else -1, self._size, self._size, 1])
            compiled = self._core.compile_model(graph, "CPU", self._options)
            self._requests[is_single] = compiled.create_infer_request()
        return self._requests[is_single]
