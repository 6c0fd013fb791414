"""The libraries that run a bundle's networks, behind the `Runtime` protocol of `inference_worker.types`.

Each is imported only when it is chosen, so that a CPU worker never loads TensorFlow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from inference_worker.bundle import Bundle
from inference_worker.manifest import BundleError, Manifest, Network
from inference_worker.runtimes.precision import AUTO, EXACT, fastest
from inference_worker.types import Runtime

RuntimeName = Literal["openvino", "tensorflow"]
RUNTIMES: tuple[str, ...] = get_args(RuntimeName)


def load_runtimes(
    bundle: Bundle, name: str = "openvino", *, precision: str = EXACT, threads: int | None = None
) -> Mapping[str, Runtime]:
    """Every network of ``bundle`` by id, compiled and warm.

    ``precision`` is ``auto``, ``f32`` or (OpenVINO only) ``bf16``, ``f16``; ``auto`` is bf16 where the
    processor computes in it and the networks then answer as in f32, else f32. ``threads`` bounds the CPU
    threads, ``None`` leaves the choice to the library. Raises `BundleError` if the bundle lacks a file for
    this runtime or a graph's outputs are not the manifest's, and `ValueError` for an unknown runtime or
    precision.
    """
    manifest = bundle.manifest
    open_graph = _opener(name)
    runtimes: dict[str, Runtime] = {}
    for network in manifest.networks:
        path = bundle.file(network, name)
        open_in = partial(_open, open_graph, path, manifest.input.size, threads)
        if precision != AUTO:
            runtimes[network.id] = open_in(precision)
        elif name == "openvino" and _has_bf16():
            runtimes[network.id] = fastest(open_in, manifest.input.size)
        else:
            runtimes[network.id] = open_in(EXACT)
        _check(runtimes[network.id], network, manifest)
    return runtimes


def refuse_telemetry() -> None:
    """Keep OpenVINO from reporting its import (and conversions) to its makers over the network.

    It does so whenever `openvino_telemetry` can be imported, and has a stub for when it cannot.
    """
    if "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # None: the import fails


def _opener(name: str) -> Callable[..., Runtime]:
    if name == "openvino":
        refuse_telemetry()
        from inference_worker.runtimes.openvino import OpenVinoRuntime

        return OpenVinoRuntime
    if name == "tensorflow":
        from inference_worker.runtimes.tensorflow import TensorFlowRuntime

        return TensorFlowRuntime
    raise ValueError(f"there is no runtime {name!r}; choose one of {', '.join(RUNTIMES)}")


def _open(
    open_graph: Callable[..., Runtime], path: Path, size: int, threads: int | None, precision: str
) -> Runtime:
    return open_graph(path, size, precision=precision, threads=threads)


def _has_bf16() -> bool:
    """Does OpenVINO compute in bf16 on this processor, and not only imitate it?"""
    from inference_worker.runtimes.openvino import capabilities

    return "BF16" in capabilities()


def _check(runtime: Runtime, network: Network, manifest: Manifest) -> None:
    """Run one pass over a black picture, which also warms the graph up.

    Raises `BundleError` unless its outputs have the manifest's shapes.
    """
    size = manifest.input.size
    outputs = runtime.infer(np.zeros((1, size, size, 1), np.float32))
    wrong = []
    if network.role in ("unified", "body_part"):
        if outputs.body_part.shape != (1, len(manifest.body_parts)):
            wrong.append(f"body part {outputs.body_part.shape}")
        if outputs.embedding.shape[1] == 0:
            wrong.append("no embedding")
    if network.role in ("unified", "abnormality"):
        if outputs.logit.shape != (1,):
            wrong.append("no logit")
        if outputs.map.shape != (1, manifest.map.height, manifest.map.width):
            wrong.append(f"map {outputs.map.shape}")
    if wrong:
        raise BundleError(
            f"{manifest.label}: the network {network.id!r} does not give what its manifest names "
            f"({', '.join(wrong)})"
        )
