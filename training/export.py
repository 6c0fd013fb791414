"""From finished runs to a bundle: graphs, calibration, thresholds, scope gate, manifest."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import keras
import numpy as np
from numpy.typing import NDArray

from inference_worker.manifest import ANY_PART, Network, Role, answering, read_manifest
from inference_worker.preprocess import CONTRAST_PERCENTILES
from inference_worker.trust import trust
from inference_worker.types import Outputs
from training import calibrate, scope
from training.configuration import Config
from training.convert import GIVEN, run_networks, to_openvino
from training.datasets import Dataset, DatasetError, Record
from training.heatmaps import cropped, hits
from training.network import FEATURES, release
from training.outliers import chest, outliers
from training.quantise import quantise
from training.squares import load, sized
from training.train import build, folds, released_weights

WORDS = {
    "fracture": {
        "normal": "no fracture seen",
        "abnormal": "fracture suspected",
        "uncertain": "uncertain",
        "unsupported": "not a supported radiograph",
    },
    "abnormality": {
        "normal": "no abnormality seen",
        "abnormal": "abnormality suspected",
        "uncertain": "uncertain",
        "unsupported": "not a supported radiograph",
    },
}
SCOPE, MANIFEST = "scope.npz", "manifest.json"
SOFTWARE = ("keras", "tensorflow", "openvino", "numpy", "opencv-python-headless", "scikit-learn")
#: A map whose trust is under the value that this share of the hits stay above is called weak.
WEAK = 0.1
#: The one chest radiograph at hand counts for so many, so that photographs do not drown it.
CHESTS = 6
#: Where no boxes tell hits from misses, trust is how far the evidence sits in one place.
UNFITTED_TRUST = {
    "intercept": -2.0,
    "weights": {"peak": 0.0, "focus": 4.0, "border": -2.0, "rival": 0.0},
    "fitted": False,
    "weak_below": 0.3,
}
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Release:
    """How a bundle calls itself."""

    name: str
    version: str


def export(
    configs: Sequence[Config],
    dataset: Dataset,
    runs: Path,
    folder: Path,
    release_as: Release,
    *,
    int8: bool = False,
) -> Path:
    """Write the bundle of the runs ``runs/<name>`` of ``configs`` to ``folder``, without metrics or card.

    One unified network, or one that tells the part with any number that judge; an expert's ``only`` are
    the parts it answers for. Calibration, thresholds, limits and trust come from the calibration
    fold, read with the exported OpenVINO graphs themselves, each picture by the network that answers
    for it; the test split is not touched. With ``int8`` these graphs are INT8 (``training.quantise``) and all
    that is fitted is fitted to them; the Keras files stay f32. Raises ``DatasetError``, and leaves ``folder``
    alone, if a run has no finished epoch, the target has no words, the networks do not belong together,
    or INT8 costs too much.
    """
    networks = together(configs, dataset.parts)
    weights = {config.name: released_weights(config, runs) for config in configs}
    if dataset.target not in WORDS:
        raise DatasetError(f"No words are known for the target {dataset.target}.")
    config = _pooled(configs)
    learn, held = folds(dataset, config)
    logger.info("reading %d training and %d calibration pictures", len(learn), len(held))
    learn_squares, held_squares = (load(fold, config.size, runs / "cache").pixels for fold in (learn, held))
    quantised: dict[str, Any] = {}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".export-", dir=folder.parent) as name:
        drafts = Path(name)
        for one, network in zip(configs, networks, strict=True):
            _write_graphs(one, dataset.parts, weights[one.name], drafts, network)
        if int8:
            abnormal = np.array([record.abnormal for record in held])
            found = quantise(drafts, networks, dataset.parts, learn_squares, held_squares, abnormal)
            quantised = {"int8": found}
        folder.mkdir(exist_ok=True)
        for draft in drafts.iterdir():
            draft.replace(folder / draft.name)

    tellers = [network for network in networks if network.role != "abnormality"]
    gate = scope.fit(
        lambda squares: run_networks(folder, tellers, dataset.parts, squares).embedding,
        learn_squares,
        part_index(learn, dataset.parts),
        held_squares,
        scope.outlier_squares([*outliers("set"), *[chest()] * CHESTS], config.size, copies=3, seed=21),
    )
    scope.save(gate, folder / SCOPE)
    unseen = run_networks(folder, networks, dataset.parts, held_squares)
    written = [name for network in networks for name in _files(network)]
    manifest = {
        "schema": 1,
        "name": release_as.name,
        "version": release_as.version,
        "released": datetime.now(UTC).date().isoformat(),
        "target": {"code": dataset.target, **WORDS[dataset.target]},
        "input": {"size": config.size, "contrast_percentiles": list(CONTRAST_PERCENTILES)},
        "parts": list(dataset.parts),
        "networks": [asdict(network) for network in networks],
        **_calibrated(config, dataset, held, unseen),
        "aggregate": "mean",
        "scope": {"file": SCOPE, "limit": round(gate.limit, 5), "chroma_limit": gate.chroma_limit},
        "metrics": {},
        "data": {
            "name": dataset.name,
            "attribution": dataset.attribution,
            "licence": dataset.licence,
            "fingerprint": fingerprint(learn),
            "configuration": "+".join(one.name for one in configs),
            "trained_on": len(learn),
            "calibrated_on": len(held),
            **quantised,
        },
        "software": {name: installed(name) for name in SOFTWARE},
        "files": {name: sha256(folder / name) for name in (*written, SCOPE)},
    }
    write_manifest(folder, manifest)
    return folder


def together(configs: Sequence[Config], parts: Sequence[str]) -> list[Network]:
    """The manifest's networks. Raises ``DatasetError`` if they cannot be one bundle."""
    first = configs[0]
    alone = len(configs) == 1
    networks = [
        Network(
            id="unified" if alone else config.name,
            role=cast(Role, config.role),
            parts=tuple(parts) if config.role == "part" else config.only or (ANY_PART,),
            files={
                "openvino": f"{'network' if alone else config.name}.xml",
                "tensorflow": f"{'network' if alone else config.name}.keras",
            },
        )
        for config in configs
    ]
    if len({network.id for network in networks}) < len(networks):
        raise DatasetError("Two of the configurations have the same name.")
    if sum(network.role != "abnormality" for network in networks) != 1:
        raise DatasetError("Exactly one network of a bundle must tell the part (role unified or part).")
    if alone and first.role != "unified":
        raise DatasetError(f"{first.name} tells the part only: name configurations that judge, too.")
    for key in ("size", "calibration", "fold_seed"):
        if len({getattr(config, key) for config in configs}) > 1:
            raise DatasetError(f"The networks of a bundle must have the same {key}.")
    judging = [config for config in configs if config.role != "part"]
    for key in ("grid", "pooling", "temperature"):
        if len({getattr(config, key) for config in judging}) > 1:
            raise DatasetError(f"The networks of a bundle that judge must have the same {key}.")
    for part in parts:
        try:
            answering(networks, part)
        except StopIteration:
            raise DatasetError(f"No network answers for the part {part}: add a general one.") from None
    return networks


def _write_graphs(
    config: Config, parts: Sequence[str], weights: Path, folder: Path, network: Network
) -> None:
    trained = build(config, parts)
    trained.load_weights(weights)
    released = release(trained, GIVEN[config.role])
    released.save(folder / network.files["tensorflow"])
    to_openvino(released, folder / network.files["openvino"])
    keras.backend.clear_session()


def _files(network: Network) -> tuple[str, ...]:
    graph = network.files["openvino"]
    return graph, str(Path(graph).with_suffix(".bin")), network.files["tensorflow"]


def _pooled(configs: Sequence[Config]) -> Config:
    """What the bundle as a whole is calibrated by: all pictures, if several networks share them."""
    judging = next(config for config in configs if config.role != "part")
    return judging if len(configs) == 1 else replace(judging, only=())


def recalibrate(config: Config, dataset: Dataset, runs: Path, folder: Path) -> None:
    """Set calibration, thresholds, map scale and trust of the bundle in ``folder`` anew, from the same fold.

    ``config`` is that of any of its networks that judge. Its metrics were measured with the old ones
    and go; evaluate it again.
    """
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    networks = read_manifest(folder).networks
    if len(networks) > 1:
        config = replace(config, only=())
    _, held = folds(dataset, config)
    pixels = load(held, config.size, runs / "cache").pixels
    unseen = run_networks(folder, networks, dataset.parts, pixels)
    write_manifest(folder, {**manifest, **_calibrated(config, dataset, held, unseen), "metrics": {}})


def _calibrated(config: Config, dataset: Dataset, held: tuple[Record, ...], out: Outputs) -> dict[str, Any]:
    abnormal = np.array([record.abnormal for record in held])
    named = [dataset.parts[index] for index in out.part.argmax(axis=1)]
    platt = calibrate.fit_platt(out.logit, abnormal, named)
    probability = platt.probability(out.logit, named)
    thresholds = calibrate.fit_thresholds(probability, abnormal)
    low, high = round(thresholds.low, 4), round(thresholds.high, 4)
    height, width = out.map.shape[1:]
    return {
        "map": {
            "height": height,
            "width": width,
            "scale": calibrate.map_scale(out.map, abnormal),
            "pooling": config.pooling,
            "temperature": config.temperature,
            "features": FEATURES,
        },
        "calibration": {
            "kind": "platt",
            "slope": platt.slope,
            "intercept": platt.intercept,
            "offsets": platt.offsets,
        },
        "thresholds": {
            "low": low,
            "high": high,
            "crossed": thresholds.crossed,
            "broken": thresholds.broken,
            "limits": {
                "low": [round(min(0.01, low), 4), round(max(0.4, low), 4)],
                "high": [round(min(0.3, high), 4), round(max(0.95, high), 4)],
            },
        },
        "prevalence": round(float(abnormal.mean()), 4),
        "trust": _trust(config, held, out),
    }


def _trust(config: Config, held: tuple[Record, ...], out: Outputs) -> dict[str, Any]:
    rows = [index for index, record in enumerate(held) if record.boxes]
    boxed = {index: sized(held[index]) for index in rows}
    maps = [cropped(out.map[index], boxed[index], config.size) for index in rows]
    hit = np.array([hits(out.map[index], boxed[index], config.size) for index in rows], bool)
    if not rows or hit.all() or not hit.any():
        logger.warning("No boxed pictures with hits and with misses: the trust score is not fitted.")
        return {"temperature": config.temperature, **UNFITTED_TRUST}
    parameters = calibrate.fit_trust(maps, hit, config.temperature)
    scores = np.array([trust(map_, parameters) for map_ in maps])
    return {**parameters, "fitted": True, "weak_below": round(float(np.quantile(scores[hit], WEAK)), 4)}


def part_index(records: tuple[Record, ...], parts: tuple[str, ...]) -> NDArray[np.int32]:
    """``(N,)`` index of every picture's part, -1 where it has none."""
    return np.array([parts.index(record.part) if record.part else -1 for record in records], np.int32)


def fingerprint(records: tuple[Record, ...]) -> str:
    """sha256 over the sorted ids that the network was trained on."""
    return hashlib.sha256("\n".join(sorted(record.id for record in records)).encode()).hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write ``manifest.json`` whole or not at all."""
    partial = folder / f"{MANIFEST}.part"
    partial.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(folder / MANIFEST)
