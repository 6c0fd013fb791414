"""Takes what ``training.accelerator`` brought back from another machine into ``runs``, as if trained here."""

from __future__ import annotations

import json
import logging
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from inference_worker.preprocess import as_batch
from inference_worker.types import Outputs
from training.datasets.record import Dataset, DatasetError
from training.evaluation.crossvalidate import FOLDER, write_answers
from training.evaluation.out_of_fold import OutOfFold
from training.learning.checkpoint import AVERAGE, PROGRESS
from training.learning.configuration import Config
from training.learning.fit import build
from training.learning.splits import cross_folds, outside_the_fold

#: Two libraries round differently; what is a mistake is larger by orders.
AGREE = 2e-3
logger = logging.getLogger(__name__)
Arrays = dict[str, NDArray[Any]]


def adopt(path: Path, folds: Config, final: Config, dataset: Dataset, runs: Path) -> None:
    """Write the out-of-fold answers and the network in ``path`` to ``runs``.

    ``folds`` is the configuration that was cross-validated, ``final`` that of the network that ships.
    Afterwards ``runs/crossvalidation/<folds>`` is what ``crossvalidate`` leaves and ``runs/<final>`` what
    ``train`` does, but neither can be gone on with. Raises ``DatasetError`` if the file is none, belongs to
    other pictures, folds or networks, or if the network does not answer here as it did there.
    """
    arrays = _read(path)
    records = dataset.split("train")
    if arrays["image_id"].tolist() != [record.id for record in records]:
        raise DatasetError(f"{path} answers to other training pictures than {dataset.name} has.")
    number = {record.id: fold for fold, held in enumerate(cross_folds(dataset, folds)) for record in held}
    if arrays["fold"].tolist() != [number[record.id] for record in records]:
        raise DatasetError(f"{path} was made with other folds than {folds.name} draws.")
    network = build(final, dataset.body_parts)
    _assign(network, arrays, path)
    _check_same(network, arrays, path)
    run = runs / final.name
    run.mkdir(parents=True, exist_ok=True)
    network.save_weights(run / AVERAGE)
    progress = {
        "config": asdict(final),
        "epochs": final.epochs,
        "steps": final.epochs * final.epoch_steps,
        "fold": outside_the_fold(dataset, final),
        "weights": str(arrays["start"]),
        "teacher": str(arrays["teacher"]),
    }
    (run / PROGRESS).write_text(json.dumps(progress, indent=1) + "\n", encoding="utf-8")
    folder = runs / FOLDER / folds.name
    folder.mkdir(parents=True, exist_ok=True)
    part, map_ = (np.asarray(arrays[name], np.float32) for name in ("part", "map"))
    nothing = np.zeros((len(records), 0), np.float32)
    outputs = Outputs(body_part=part, logit=arrays["logit"], map=map_, embedding=nothing)
    write_answers(
        folder, folds, dataset, OutOfFold(records, dataset.body_parts, folds.size, arrays["fold"], outputs)
    )
    logger.info("%s and %s", run, folder)


def _read(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found: Arrays = {name: arrays[name] for name in arrays.files}
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise DatasetError(f"{path} is no result of training.accelerator ({error}).") from error
    needed = {"image_id", "fold", "logit", "part", "map", "start", "teacher", "probe/pictures", "probe/logit"}
    if needed - set(found):
        raise DatasetError(
            f"{path} is no result of training.accelerator: it lacks {', '.join(sorted(needed - set(found)))}."
        )
    return found


def _assign(network: keras.Model, arrays: Arrays, path: Path) -> None:
    for layer in network.layers:
        for variable in layer.weights:
            if "seed" in variable.path:  # a dropout's random numbers
                continue
            value = arrays.get(f"weights/{layer.name}/{variable.name}")
            if value is None or value.shape != tuple(variable.shape):
                raise DatasetError(f"{path} holds nothing that fits {layer.name}/{variable.name}.")
            variable.assign(value)


def _check_same(network: keras.Model, arrays: Arrays, path: Path) -> None:
    here = np.asarray(network(as_batch(arrays["probe/pictures"]), training=False)["logit"])
    away = float(np.abs(here - arrays["probe/logit"]).max())
    if away > AGREE:
        raise DatasetError(
            f"The network of {path} answers otherwise here than where it was trained (a logit by {away:.3g})."
        )
