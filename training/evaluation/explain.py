"""The shipped map beside other explanations of the same network, on the calibration fold.

Offline only: a bundle ships one map, which costs nothing. The test split is never read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from inference_worker.bundle import Bundle
from inference_worker.preprocess import as_batch
from training.datasets.progress import with_progress
from training.datasets.record import Dataset, DatasetError, Record
from training.datasets.squares import load, sized
from training.evaluation import explanations, metrics
from training.evaluation.calibration_fold import calibration_fold
from training.evaluation.explanations import Floats, Squares
from training.evaluation.heatmaps import box_mask, cropped, energy, hits
from training.learning.configuration import Config
from training.network.graphs import compiled
from training.network.names import FEATURES

FIGURES = "explanations.json"
METHODS = ("shipped", "LayerCAM", "Grad-CAM++", "ScoreCAM", "random")
#: Layers whose weights are shuffled, from the head downwards; a prefix of their names, "" for all.
CASCADE = {"head": ("evidence",), "head and fusion": ("evidence", "fuse_"), "everything": ("",)}
#: IoU is taken on this grid over the picture.
GRID = 96
#: Standard deviation of the blur that deletion puts in place of pixels, in shares of the side.
BLUR = 0.04
Maps = dict[str, NDArray[np.float64]]
logger = logging.getLogger(__name__)


def explain(
    config: Config, folder: Path, dataset: Dataset, runs: Path, out: Path, limit: int | None = None
) -> dict[str, Any]:
    """Compare explanations on the fold's boxed pictures, at most ``limit``; write and return the figures.

    Raises ``DatasetError`` if the bundle is not one unified network, configuration or data are not its own,
    or the fold has no boxes.
    """
    bundle = Bundle.load(folder)
    manifest = bundle.manifest
    if len(manifest.networks) > 1:
        raise DatasetError("Explanations are compared for a bundle of one unified network.")
    fold = calibration_fold(bundle, dataset, config)
    boxed = [sized(record) for record in fold if record.boxes and record.abnormal]
    # Spread over the fold, which is sorted by source.
    chosen = boxed[:: max(1, len(boxed) // limit)][:limit] if limit else boxed
    if not chosen:
        raise DatasetError("The calibration fold has no picture with boxes.")
    squares = load(chosen, config.size, runs / "cache").pixels
    network = keras.saving.load_model(bundle.file(manifest.networks[0], "tensorflow"), compile=False)
    graph = compiled(bundle.file(manifest.networks[0], "openvino"))

    def score(some: Squares) -> Floats:
        return _logits(graph, some)

    def probability(some: Squares) -> Floats:
        z = manifest.calibration.slope * score(some) + manifest.calibration.intercept
        return np.asarray(1 / (1 + np.exp(-z)), np.float64)

    maps = list(_maps(network, squares, score, config))
    groups = np.array([record.group for record in chosen])
    comparison: dict[str, Any] = {
        "bundle": manifest.label,
        "pictures": len(chosen),
        "methods": {
            name: _measured([own[name] for own in maps], chosen, groups, config.size) for name in METHODS
        },
        "shuffled": _shuffled(network, squares, chosen, config.size),
    }
    for name, row in _curves(maps, squares, probability, groups).items():
        comparison["methods"][name] |= row
    out.mkdir(parents=True, exist_ok=True)
    (out / FIGURES).write_text(json.dumps(comparison, indent=1, default=_plain) + "\n", encoding="utf-8")
    logger.info("%s", table(comparison))
    return comparison


def _plain(figure: object) -> dict[str, Any]:
    if isinstance(figure, metrics.Figure):
        return asdict(figure)
    raise TypeError(f"{type(figure).__name__} has no place in JSON")


def table(comparison: dict[str, Any]) -> str:
    """What was measured, as Markdown."""
    names = ("pointing", "energy", "iou", "deletion", "insertion")
    lines = [f"| map ({comparison['pictures']} pictures) | {' | '.join(names)} |", "|---" * 6 + "|"]
    for method, row in comparison["methods"].items():
        lines.append(f"| {method} | " + " | ".join(f"{row[name].value:.3f}" for name in names) + " |")
    shuffled = "; ".join(f"{name} {value:.2f}" for name, value in comparison["shuffled"].items())
    lines.append(f"Rank correlation of the shipped map with itself once shuffled: {shuffled}.")
    return "\n".join(lines)


def _logits(graph: Any, squares: Squares, batch: int = 8) -> Floats:
    rows = [squares[start : start + batch] for start in range(0, len(squares), batch)]
    return np.concatenate([np.array(graph({"picture": as_batch(some)})["logit"]) for some in rows])


def _maps(
    network: keras.Model, squares: Squares, score: explanations.Score, config: Config
) -> Iterator[Maps]:
    """Every method's map of every picture, all on the evidence map's grid."""
    inner = keras.Model(network.input, [network.get_layer(FEATURES).output, network.output["map"]])
    kernel = network.get_layer("evidence").get_weights()[0][0, 0, :, 0]
    generator = np.random.default_rng(11)
    for square in with_progress(squares, len(squares), "explaining"):
        features, evidence = (rows[0] for rows in inner.predict_on_batch(as_batch(square[np.newaxis])))
        pull = explanations.pull_of(evidence, config.pooling, config.temperature)
        yield {
            # Signed, as the portal has it: below zero it still says where a fracture is likeliest.
            "shipped": evidence.astype(np.float64),
            "LayerCAM": explanations.layer_cam(features, kernel, pull),
            "Grad-CAM++": explanations.grad_cam_plus_plus(features, kernel, pull),
            "ScoreCAM": explanations.score_cam(features, square, score),
            "random": generator.random(evidence.shape),
        }


def _measured(
    maps: Sequence[NDArray[np.float64]], records: Sequence[Record], groups: NDArray[Any], size: int
) -> dict[str, Any]:
    pairs = [(map_.astype(np.float32), record) for map_, record in zip(maps, records, strict=True)]
    shown = [_resized(cropped(map_, record, size), GRID) for map_, record in pairs]
    overlap, threshold = explanations.best_iou(shown, [box_mask((GRID, GRID), record) for record in records])
    return {
        "pointing": _mean([hits(map_, record, size) for map_, record in pairs], groups),
        "energy": _mean([energy(map_, record, size) for map_, record in pairs], groups),
        "iou": _mean(overlap, groups),
        "iou_threshold": threshold,
    }


def _curves(
    maps: Sequence[Maps], squares: Squares, probability: explanations.Score, groups: NDArray[Any]
) -> dict[str, dict[str, Any]]:
    """Mean probability while the map's highest positions go (lower is better) or come (higher is)."""
    areas: dict[str, dict[str, list[float]]] = {name: {"deletion": [], "insertion": []} for name in METHODS}
    for square, own in zip(with_progress(squares, len(squares), "deleting and inserting"), maps, strict=True):
        side = square.shape[0]
        blank = cv2.GaussianBlur(square, (0, 0), BLUR * side).astype(np.uint8)
        for name in METHODS:
            order = _resized(own[name], side)
            for kind in areas[name]:
                shown = explanations.steps(square, blank, order, insertion=kind == "insertion")
                areas[name][kind].append(explanations.area(probability(shown)))
    return {name: {kind: _mean(row, groups) for kind, row in own.items()} for name, own in areas.items()}


def _shuffled(
    network: keras.Model, squares: Squares, records: Sequence[Record], size: int
) -> dict[str, float]:
    """Mean rank correlation of the signed map with itself once weights are shuffled, from the head down."""

    def signed(some: keras.Model) -> list[NDArray[np.float32]]:
        maps = some.predict(as_batch(squares), batch_size=8, verbose=0)["map"]
        return [cropped(map_, record, size) for map_, record in zip(maps, records, strict=True)]

    before = signed(network)
    correlations: dict[str, float] = {}
    for name, prefixes in CASCADE.items():
        after = signed(shuffled(network, prefixes, seed=13))
        pairs = zip(before, after, strict=True)
        correlations[name] = float(np.mean([explanations.rank_correlation(*pair) for pair in pairs]))
    return correlations


def shuffled(network: keras.Model, prefixes: tuple[str, ...], seed: int) -> keras.Model:
    """A copy whose layers of these names have every weight array's values in another order."""
    generator = np.random.default_rng(seed)
    other = keras.models.clone_model(network)
    other.set_weights(network.get_weights())
    for layer in other.layers:
        if layer.weights and layer.name.startswith(prefixes):
            layer.set_weights(
                [generator.permutation(w.ravel()).reshape(w.shape) for w in layer.get_weights()]
            )
    return other


def _resized(map_: Floats, side: int) -> NDArray[np.float64]:
    return np.asarray(cv2.resize(map_, (side, side), interpolation=cv2.INTER_LINEAR), np.float64)


def _mean(values: Sequence[float] | NDArray[Any], groups: NDArray[Any]) -> metrics.Figure:
    rows = np.asarray(values, np.float64)
    return metrics.bootstrap(lambda chosen: float(rows[chosen].mean()), groups, len(rows), rounds=500)
