"""From finished runs to a bundle: graphs, calibration, thresholds, out-of-distribution detector, manifest."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import keras
import numpy as np

from inference_worker.manifest import ANY_PART, CONTRAST_PERCENTILES, Network, Role, answering
from inference_worker.out_of_distribution import OutOfDistributionDetector
from training.datasets.record import Dataset, DatasetError
from training.datasets.squares import load, read_grey
from training.evaluation.out_of_fold import OutOfFold
from training.learning.checkpoint import progress_of
from training.learning.configuration import Config
from training.learning.fit import build
from training.learning.splits import Fold, calibration_folds, fingerprint, outside_the_fold
from training.learning.train import released_weights
from training.network.graphs import run_networks
from training.release import out_of_distribution
from training.release.files import CARD, PLOTS, sha256, write_manifest
from training.release.from_folds import fitted, read_answers
from training.release.outliers import chest, outliers
from training.release.portable import GIVEN, portable, to_openvino
from training.release.quantise import quantise
from training.release.recalibrate import calibrated
from training.release.strangers import Stranger

WORDS = {
    "fracture": {
        "normal": "no fracture seen",
        "abnormal": "fracture suspected",
        "uncertain": "uncertain",
        "unsupported": "outside what the model can analyse",
    },
    "abnormality": {
        "normal": "no abnormality seen",
        "abnormal": "abnormality suspected",
        "uncertain": "uncertain",
        "unsupported": "outside what the model can analyse",
    },
}
DETECTOR = "out_of_distribution.npz"
SOFTWARE = ("keras", "tensorflow", "openvino", "numpy", "opencv-python-headless", "scikit-learn")
#: The one chest radiograph at hand counts for so many, so that photographs do not drown it.
CHESTS = 6
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
    folds: Path | None = None,
    outside: Sequence[Stranger] = (),
) -> Path:
    """Write the bundle of the runs ``runs/<name>`` of ``configs`` to ``folder``, without metrics or card.

    One unified network, or a body-part classifier with any number that judge; an expert's ``only`` are
    the parts it answers for. Calibration, thresholds and trust come from the out-of-fold answers of a
    cross-validation in the folder ``folds``, and the calibration fold brings the network to their scale;
    without ``folds`` they come from the calibration fold alone. It is read with the exported OpenVINO graphs
    themselves, each picture by the network that answers for it; the test split is not touched. ``outside``
    are pictures that the bundle must refuse, for the out-of-distribution detector. With ``int8`` these graphs
    are INT8 (``quantise``) and all that is fitted is fitted to them; the Keras files stay f32.

    Raises ``DatasetError``, and leaves ``folder`` alone, if a run has no finished epoch or saw other
    pictures, the target has no words, the networks do not belong together, or INT8 costs too much; whatever
    stops it, ``folder`` keeps what it had.
    """
    networks = bundle_networks(configs, dataset.body_parts)
    if dataset.target not in WORDS:
        raise DatasetError(f"No words are known for the target {dataset.target}.")
    config = _pooled(configs)
    answers = read_answers(folds, dataset, config) if folds else None
    learn, held = calibration_folds(dataset, config)
    fold = outside_the_fold(dataset, config)
    weights = {config.name: released_weights(config, runs, fold) for config in configs}
    logger.info("reading %d training and %d calibration pictures", len(learn), len(held))
    held_squares = load(held, config.size, runs / "cache").pixels
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".export-", dir=folder.parent) as name:
        drafts = Path(name)
        for one, network in zip(configs, networks, strict=True):
            _write_graphs(one, dataset.body_parts, weights[one.name], drafts, network)
        facts = _data(configs, dataset, runs, learn, held, answers)
        if int8:
            abnormal = np.array([record.abnormal for record in held])
            learn_squares = load(learn, config.size, runs / "cache").pixels
            facts["int8"] = quantise(
                drafts, networks, dataset.body_parts, learn_squares, held_squares, abnormal
            )
        detector, sources = _detector(drafts, networks, dataset.body_parts, learn, held, config.size, outside)
        if sources:
            facts["strangers"] = sources
        unseen = run_networks(drafts, networks, dataset.body_parts, held_squares)
        fit = (
            fitted(config, answers, held, unseen.logit)
            if answers
            else calibrated(config, dataset, held, unseen)
        )
        described = _described(dataset, config.size, networks, detector, drafts)
        _put(drafts, folder, {"schema": 1, **asdict(release_as), **described, **fit, "data": facts})
    return folder


def _described(
    dataset: Dataset,
    size: int,
    networks: Sequence[Network],
    detector: OutOfDistributionDetector,
    drafts: Path,
) -> dict[str, Any]:
    """What the manifest says of the bundle apart from its name, what is fitted, and its pictures."""
    written = [name for network in networks for name in _files(network)]
    return {
        "released": datetime.now(UTC).date().isoformat(),
        "target": {"code": dataset.target, **WORDS[dataset.target]},
        "input": {"size": size, "contrast_percentiles": list(CONTRAST_PERCENTILES)},
        "body_parts": list(dataset.body_parts),
        "networks": [asdict(network) for network in networks],
        "aggregate": "mean",
        "out_of_distribution": {
            "file": DETECTOR,
            "limit": round(detector.limit, 5),
            "chroma_limit": detector.chroma_limit,
        },
        "metrics": {},
        "software": {name: installed(name) for name in SOFTWARE},
        "files": {name: sha256(drafts / name) for name in (*written, DETECTOR)},
    }


def _data(
    configs: Sequence[Config],
    dataset: Dataset,
    runs: Path,
    learn: Fold,
    held: Fold,
    answers: OutOfFold | None,
) -> dict[str, Any]:
    """What the manifest says of the pictures: whose they are, and how many set what."""
    return {
        "name": dataset.name,
        "attribution": dataset.attribution,
        "licence": dataset.licence,
        "fingerprint": fingerprint(learn),
        "configuration": "+".join(one.name for one in configs),
        "backbones": sorted({one.backbone for one in configs}),
        "weights": sorted({_origin(runs / one.name) for one in configs}),
        "trained_on": len(learn),
        "boxed": sum(bool(record.boxes) for record in learn),
        "calibrated_on": len(answers.records) if answers else len(held),
        **({"aligned_on": len(held)} if answers else {}),
    }


def bundle_networks(configs: Sequence[Config], body_parts: Sequence[str]) -> list[Network]:
    """The manifest's networks. Raises ``DatasetError`` if they cannot be one bundle."""
    first = configs[0]
    alone = len(configs) == 1
    networks = [
        Network(
            id="unified" if alone else config.name,
            role=cast(Role, config.role),
            body_parts=tuple(body_parts) if config.role == "body_part" else config.only or (ANY_PART,),
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
        raise DatasetError(
            "Exactly one network of a bundle must classify the body part (role unified or part)."
        )
    if alone and first.role != "unified":
        raise DatasetError(
            f"{first.name} classifies the body part only: name configurations that judge, too."
        )
    for key in ("size", "calibration", "fold_seed"):
        if len({getattr(config, key) for config in configs}) > 1:
            raise DatasetError(f"The networks of a bundle must have the same {key}.")
    judging = [config for config in configs if config.role != "body_part"]
    for key in ("grid", "pooling", "temperature"):
        if len({getattr(config, key) for config in judging}) > 1:
            raise DatasetError(f"The networks of a bundle that judge must have the same {key}.")
    for body_part in body_parts:
        try:
            answering(networks, body_part)
        except StopIteration:
            raise DatasetError(f"No network answers for the part {body_part}: add a general one.") from None
    return networks


def _write_graphs(
    config: Config, body_parts: Sequence[str], weights: Path, folder: Path, network: Network
) -> None:
    trained = build(config, body_parts)
    trained.load_weights(weights)
    released = portable(trained, GIVEN[config.role])
    released.save(folder / network.files["tensorflow"])
    to_openvino(released, folder / network.files["openvino"])
    keras.backend.clear_session()


def _files(network: Network) -> tuple[str, ...]:
    graph = network.files["openvino"]
    return graph, str(Path(graph).with_suffix(".bin")), network.files["tensorflow"]


def _pooled(configs: Sequence[Config]) -> Config:
    """What the bundle as a whole is calibrated by: all pictures, if several networks share them."""
    judging = next(config for config in configs if config.role != "body_part")
    return judging if len(configs) == 1 else replace(judging, only=())


def _origin(run: Path) -> str:
    """The file of the weights that the run began with; empty if it began with random numbers."""
    return str((progress_of(run) or {}).get("weights") or "")


def _detector(
    drafts: Path,
    networks: Sequence[Network],
    body_parts: Sequence[str],
    learn: Fold,
    held: Fold,
    size: int,
    outside: Sequence[Stranger],
) -> tuple[OutOfDistributionDetector, list[dict[str, Any]]]:
    """The out-of-distribution detector on the body-part classifier's embedding; ``drafts`` gets its file.

    Also the sources that set it, as the manifest lists them.
    """
    classifiers = [network for network in networks if network.role != "abnormality"]
    drawn = [
        Stranger("photographs and drawings", "as scikit-image has them", o.pixels) for o in outliers("set")
    ]
    everything = [*outside, *drawn, *[Stranger("pydicom-data", "MIT", chest().pixels)] * CHESTS]
    detector = out_of_distribution.fit(
        lambda squares: run_networks(drafts, classifiers, body_parts, squares).embedding,
        size,
        [read_grey(record.path) for record in learn],
        np.array(
            [body_parts.index(record.body_part) if record.body_part else -1 for record in learn], np.int32
        ),
        [read_grey(record.path) for record in held],
        [stranger.pixels for stranger in everything],
        [stranger.source for stranger in everything],
    )
    out_of_distribution.save(detector, drafts / DETECTOR)
    counted = Counter((stranger.source, stranger.licence) for stranger in outside)
    sources = [
        {"source": source, "licence": licence, "pictures": count}
        for (source, licence), count in sorted(counted.items())
    ]
    return detector, sources


def _put(drafts: Path, folder: Path, manifest: dict[str, Any]) -> None:
    """Move a finished bundle to its place, the manifest last; card and plots of the one before it go."""
    folder.mkdir(exist_ok=True)
    for draft in drafts.iterdir():
        draft.replace(folder / draft.name)
    for name in (CARD, *PLOTS):
        (folder / name).unlink(missing_ok=True)
    write_manifest(folder, manifest)
