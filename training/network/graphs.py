"""Exported OpenVINO graphs, and the networks of a whole bundle, run over many pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_worker.manifest import Network, answering
from inference_worker.preprocess import as_batch
from inference_worker.runtimes.outputs import outputs
from inference_worker.types import Outputs
from training.network.names import OUTPUTS


def compiled(path: Path) -> Any:
    """The graph at ``path`` (.xml) for any batch, in f32; OpenVINO would choose bf16 where it can."""
    import openvino

    core = openvino.Core()
    return core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def run_openvino(path: Path, squares: NDArray[np.uint8], batch: int = 8) -> Outputs:
    """Outputs for ``uint8 (N, S, S)``, in f32; those that the network lacks have a width of 0."""
    graph = compiled(path)
    names = {name for port in graph.outputs for name in port.get_names()} & set(OUTPUTS)
    batches: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    for start in range(0, len(squares), batch):
        results = graph({"picture": as_batch(squares[start : start + batch])})
        for name in names:
            batches[name].append(np.array(results[name], np.float32))
    return outputs({name: np.concatenate(rows) for name, rows in batches.items()}, len(squares))


def run_networks(
    folder: Path, networks: Sequence[Network], body_parts: Sequence[str], squares: NDArray[np.uint8]
) -> Outputs:
    """Outputs of a whole bundle for ``uint8 (N, S, S)``: body part and embedding from the body-part
    classifier, logit and map from the one that answers for that part, as the worker does it.
    """
    classifier = next(network for network in networks if network.role != "abnormality")
    classified = run_openvino(folder / classifier.files["openvino"], squares)
    if len(networks) == 1:
        return classified
    chosen = [answering(networks, body_parts[index]) for index in classified.body_part.argmax(axis=1)]
    logit = np.zeros(len(squares), np.float32)
    maps: dict[int, NDArray[np.float32]] = {}
    for network in networks:
        rows = np.array([index for index, own in enumerate(chosen) if own.id == network.id], np.intp)
        if not len(rows):
            continue
        file = folder / network.files["openvino"]
        own_outputs = classified if network.id == classifier.id else run_openvino(file, squares[rows])
        own_rows = rows if network.id == classifier.id else np.arange(len(rows))
        logit[rows] = own_outputs.logit[own_rows]
        maps |= dict(zip(rows.tolist(), own_outputs.map[own_rows], strict=True))
    evidence = np.stack([maps[index] for index in range(len(squares))])
    return Outputs(body_part=classified.body_part, logit=logit, map=evidence, embedding=classified.embedding)
