"""OpenVINO, the CPU workers' runtime."""

from __future__ import annotations

import os
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

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

    A pass that takes all cores waits at each layer for the slowest of them, longest where one of them has
    other work. So where pictures follow each other, two passes run side by side, each on half of the cores:
    every single one takes longer, and all of them less. The answers are the same.
    """

    name = "openvino"

    def __init__(self, model: Path, size: int, *, precision: str = "f32", threads: int | None = None) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"OpenVINO runs {', '.join(PRECISIONS)}, not {precision!r}")
        self.version = openvino.get_version().split("-")[0]
        self.precision = precision
        self.at_once = min(2, threads or os.cpu_count() or 1)
        options = {"INFERENCE_PRECISION_HINT": precision}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = str(threads)
        core = openvino.Core()
        try:
            graph = core.read_model(model)
        except RuntimeError as error:
            raise BundleError(f"{model} cannot be loaded by OpenVINO {self.version}") from error
        self._core, self._graph, self._options = core, graph, options
        #: Compiled when first asked for, by their streams and whether they take one picture.
        self._requests: dict[tuple[int, bool], SimpleQueue[openvino.InferRequest]] = {}
        self._compiling = Lock()
        self._size = size

    def infer(self, batch: NDArray[np.float32], *, is_alone: bool = True) -> Outputs:
        """One pass over ``(N, size, size, 1)``, grey levels 0 to 255."""
        free = self._compiled(1 if is_alone else self.at_once, is_single=len(batch) == 1)
        request = free.get()
        try:
            request.infer({0: np.ascontiguousarray(batch, np.float32)}, share_inputs=True)
            # A port keeps the names of the layers that were folded into it beside its own.
            arrays = {
                name: request.get_tensor(port).data for port in request.model_outputs for name in port.names
            }
            return outputs(arrays, len(batch))
        finally:
            free.put(request)

    def _compiled(self, streams: int, *, is_single: bool) -> SimpleQueue[openvino.InferRequest]:
        """The free requests, one a stream, of a graph for one picture or for any number.

        Shapes that are known make the single pass faster than a dynamic batch.
        """
        with self._compiling:
            if (streams, is_single) not in self._requests:
                graph = self._graph.clone()
                graph.reshape([1 if is_single else -1, self._size, self._size, 1])
                hint = {"PERFORMANCE_HINT": "LATENCY"} if streams == 1 else {"NUM_STREAMS": str(streams)}
                compiled = self._core.compile_model(graph, "CPU", {**self._options, **hint})
                free: SimpleQueue[openvino.InferRequest] = SimpleQueue()
                for _ in range(streams):
                    free.put(compiled.create_infer_request())
                self._requests[streams, is_single] = free
            return self._requests[streams, is_single]
