"""Two tiny bundles that load in a moment and whose answers can be worked out by hand.

``python -m tests.inference_worker.tiny FOLDER`` writes ``FOLDER/unified`` and ``FOLDER/experts``. It runs
in a process of its own, so that the tests' process never imports TensorFlow.

The evidence at a position is ten times the mean brightness (0 to 1) of its cell less four; a network's
logit is the log-sum-exp of it over positions less their number's logarithm, plus a bias. Pictures
of nearly one grey are out of distribution.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

SIZE = 128
CELLS = 16
PARTS = ("hand", "wrist", "ankle")
GAIN, SHIFT = 10.0, -4.0
#: Bias of the logit by network.
BIASES = {"unified": 0.0, "wrist": 3.0, "general": -3.0}


def manifest(networks: list[dict[str, Any]]) -> dict[str, Any]:
    """A manifest without its ``files``."""
    return {
        "schema": 1,
        "name": "tiny",
        "version": "1",
        "released": "2026-11-22",
        "target": {
            "code": "fracture",
            "normal": "No fracture seen",
            "abnormal": "Fracture suspected",
            "uncertain": "Uncertain",
            "unsupported": "Not supported",
        },
        "input": {"size": SIZE, "contrast_percentiles": [0.5, 99.5]},
        "body_parts": list(PARTS),
        "networks": networks,
        "map": {
            "height": CELLS,
            "width": CELLS,
            "scale": 4.0,
            "pooling": "logsumexp",
            "temperature": 1.0,
            "features": "cells",
        },
        "calibration": {"kind": "platt", "slope": 1.0, "intercept": 0.5, "offsets": {"wrist": 0.25}},
        "thresholds": {"low": 0.3, "high": 0.7, "limits": {"low": [0.05, 0.5], "high": [0.5, 0.95]}},
        "prevalence": 0.3,
        "aggregate": "mean",
        "out_of_distribution": {"file": "out_of_distribution.npz", "limit": 2.5, "chroma_limit": 20.0},
        "trust": {
            "temperature": 1.0,
            "intercept": 0.0,
            "weights": {"peak": 0.1, "focus": 1.0, "border": -1.0, "rival": -1.0},
            "weak_below": 0.3,
        },
        "metrics": {},
        "data": {"name": "drawn", "attribution": "none", "licence": "CC0", "fingerprint": "0" * 64},
        "software": {"keras": "3"},
    }


def release(folder: Path, document: dict[str, Any]) -> None:
    """Write the manifest with the sha256 of every other file of ``folder``."""
    files = sorted(path for path in folder.iterdir() if path.name != "manifest.json")
    document["files"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (folder / "manifest.json").write_text(json.dumps(document, indent=1), "utf-8")


def _network(outputs: tuple[str, ...], bias: float) -> Any:
    import keras
    from keras import layers, ops

    picture = keras.Input((SIZE, SIZE, 1), name="picture")
    unit = layers.Rescaling(1 / 255)(picture)
    cells = layers.AveragePooling2D(SIZE // CELLS, name="cells")(unit)
    signed = layers.Reshape((CELLS, CELLS), name="map")(layers.Rescaling(GAIN, SHIFT)(cells))
    mean = layers.GlobalAveragePooling2D()(unit)
    square = layers.GlobalAveragePooling2D()(layers.Multiply()([unit, unit]))
    spread = ops.sqrt(ops.maximum(square - mean * mean, 1e-9))
    logit = ops.logsumexp(ops.reshape(signed, (-1, CELLS * CELLS)), axis=1) - math.log(CELLS**2) + bias
    body_part = layers.Dense(
        len(PARTS),
        activation="softmax",
        kernel_initializer=keras.initializers.Constant(np.array([[-8.0, 8.0, 0.0]])),
        bias_initializer=keras.initializers.Constant(np.array([4.0, -4.0, 1.0])),
    )(mean)
    everything = {
        "part": body_part,
        "logit": logit,
        "map": signed,
        "embedding": layers.Concatenate()([spread, mean]),
    }
    return keras.Model(picture, {name: everything[name] for name in outputs})


def _save(folder: Path, name: str, outputs: tuple[str, ...], bias: float) -> dict[str, str]:
    from training.release.portable import convert

    network = _network(outputs, bias)
    network.save(folder / f"{name}.keras")
    graph = convert(network)
    import openvino  # after its telemetry has been refused

    openvino.save_model(graph, folder / f"{name}.xml", compress_to_fp16=False)
    return {"openvino": f"{name}.xml", "tensorflow": f"{name}.keras"}


def build(root: Path) -> None:
    """Write both bundles."""
    detector = {
        # On (spread, mean): a spread of 0.3 is typical, one of 0 is 4 deviations off; any mean will do.
        "centre": np.array([0.3, 0.5], np.float32),
        "scale": np.array([0.075, 1e6], np.float32),
        "means": np.zeros((1, 2), np.float32),
        "directions": np.eye(2, dtype=np.float32),
        "variances": np.ones(2, np.float32),
        "rest": np.float32(1.0),
        # No linear score: the distance decides.
        "weights": np.zeros(2, np.float32),
        "score_middle": np.float32(0.0),
        "score_limit": np.float32(1.0),
    }
    unified, experts = root / "unified", root / "experts"
    for folder in (unified, experts):
        folder.mkdir(parents=True)
        np.savez(folder / "out_of_distribution.npz", **detector)
    everything = ("part", "logit", "map", "embedding")
    files = _save(unified, "network", everything, BIASES["unified"])
    release(unified, manifest([{"id": "unified", "role": "unified", "body_parts": ["*"], "files": files}]))
    networks = [
        {
            "id": "part",
            "role": "body_part",
            "body_parts": list(PARTS),
            "files": _save(experts, "part", ("part", "embedding"), 0.0),
        },
        {
            "id": "general",
            "role": "abnormality",
            "body_parts": ["*"],
            "files": _save(experts, "general", ("logit", "map"), BIASES["general"]),
        },
        {
            "id": "wrist",
            "role": "abnormality",
            "body_parts": ["wrist"],
            "files": _save(experts, "wrist", ("logit", "map"), BIASES["wrist"]),
        },
    ]
    release(experts, manifest(networks))


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    build(Path(sys.argv[1]))
