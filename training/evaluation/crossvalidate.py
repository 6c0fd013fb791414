"""Trains a configuration five times, each time without one fold, and keeps what it answers to that fold.

The test split is never read. All that follows from the answers (calibration, thresholds, choices between
configurations) rests on every training picture, each judged by a network that has not seen its group.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import keras
import numpy as np

from inference_worker.preprocess import as_batch
from inference_worker.runtimes.outputs import outputs
from inference_worker.types import Outputs
from training.datasets.progress import with_progress
from training.datasets.record import Dataset, DatasetError
from training.datasets.squares import Squares, load
from training.evaluation.metrics import Figure
from training.evaluation.out_of_fold import (
    NAME,
    OutOfFold,
    read_outputs,
    summary,
    table,
    write_outputs,
    write_table,
)
from training.learning.configuration import IMAGENET, Config
from training.learning.fit import Run, begin, check_run, fit, released
from training.learning.splits import Fold, cross_folds, fingerprint, validation
from training.learning.teacher import Teacher, read_teacher
from training.network.names import OUTPUTS

FOLDER, ANSWERS = "crossvalidation", "answers.npz"
#: Pictures in one pass.
BATCH = 16
logger = logging.getLogger(__name__)


def crossvalidate(
    config: Config, dataset: Dataset, runs: Path, weights: str | None, teacher: Path | None = None
) -> Path:
    """Train and answer fold by fold, going on where an interrupted call stopped; return the folder.

    ``runs/crossvalidation/<name>`` gets ``out_of_fold.npz`` (by picture: ``image_id``, ``fold``, ``logit``,
    ``part``, ``map``, ``embedding``; and the order of ``parts``), the same in short as ``.csv``,
    ``summary.json`` and ``summary.md``; ``fold-<n>`` in it are the runs. ``weights`` and ``teacher`` are as
    in ``training.learning.train.train``. Raises ``DatasetError`` if configuration, data or teacher will not
    do.
    """
    if config.role != "unified" or config.only:
        raise DatasetError("A cross-validation is of one unified network for all parts.")
    if config.start != IMAGENET:
        raise DatasetError(
            f"{config.name} goes on from {config.start}, which has seen pictures of every fold: "
            "cross-validate a configuration that starts from imagenet."
        )
    records = dataset.split("train")
    folds = cross_folds(dataset, config)
    taught = read_teacher(teacher, records) if teacher else None
    folder = runs / FOLDER / config.name
    row_of = {record.id: row for row, record in enumerate(records)}
    squares = _Prepared(lambda: load(records, config.size, runs / "cache"), row_of)
    everything = [
        _fold(
            config,
            dataset.body_parts,
            _run(config, folder, number, folds, weights, taught, row_of),
            held,
            squares,
        )
        for number, held in enumerate(folds)
    ]
    order = np.argsort([row_of[record.id] for held in folds for record in held])
    answers = OutOfFold(
        records=records,
        body_parts=dataset.body_parts,
        size=config.size,
        fold=np.concatenate([np.full(len(held), number) for number, held in enumerate(folds)])[order],
        outputs=Outputs(
            **{
                field.name: np.concatenate([getattr(one, field.name) for one in everything])[order]
                for field in fields(Outputs)
            }
        ),
    )
    write_answers(folder, config, dataset, answers)
    return folder


class _Prepared:
    """The training pictures, prepared when they are first asked for: finished folds need none."""

    def __init__(self, read: Callable[[], Squares], row_of: dict[str, int]) -> None:
        self.read, self.row_of = read, row_of
        self.squares: Squares | None = None

    def of(self, fold: Fold) -> Squares:
        if self.squares is None:
            self.squares = self.read()
        return self.squares.take([self.row_of[record.id] for record in fold])


def _run(
    config: Config,
    folder: Path,
    number: int,
    folds: tuple[Fold, ...],
    weights: str | None,
    teacher: Teacher | None,
    row_of: dict[str, int],
) -> Run:
    seen = tuple(record for fold in folds if fold is not folds[number] for record in fold)
    learn, watched = validation(config, tuple(sorted(seen, key=lambda record: row_of[record.id])))
    return Run(
        folder=folder / f"fold-{number}",
        learn=learn,
        watched=watched,
        fold=fingerprint(seen),
        weights=weights,
        teacher=teacher.take([row_of[record.id] for record in learn]) if teacher else None,
    )


def _fold(config: Config, body_parts: tuple[str, ...], run: Run, held: Fold, squares: _Prepared) -> Outputs:
    """What the run without ``held`` answers to it, trained first where that is not done."""
    check_run(config, run)
    path = run.folder / ANSWERS
    if path.is_file():
        return read_outputs(path, held)
    network = begin(config, body_parts, run)
    still = squares.of(run.watched) if run.watched else None
    fit(config, body_parts, network, run, squares.of(run.learn), still)
    network.load_weights(run.folder / released(config))
    answers = _answers(network, squares.of(held))
    write_outputs(path, held, answers)
    keras.backend.clear_session()
    return answers


def _answers(network: keras.Model, squares: Squares) -> Outputs:
    starts = range(0, len(squares), BATCH)
    batches = [
        network.predict_on_batch(as_batch(squares.pixels[start : start + BATCH]))
        for start in with_progress(starts, len(starts), "answering, batch")
    ]
    return outputs(
        {name: np.concatenate([batch[name] for batch in batches]) for name in OUTPUTS}, len(squares)
    )


def write_answers(folder: Path, config: Config, dataset: Dataset, answers: OutOfFold) -> None:
    """Write all answers and what they amount to into ``folder``, as ``crossvalidate`` says."""
    more = {"fold": answers.fold, "body_parts": np.array(answers.body_parts)}
    write_outputs(folder / f"{NAME}.npz", answers.records, answers.outputs, **more)
    write_table(folder / f"{NAME}.csv", answers)
    figures = summary(answers)
    named = {"configuration": config.name, "data": dataset.name, "fingerprint": fingerprint(answers.records)}
    document = json.dumps({**named, **figures}, indent=1, default=_plain)
    (folder / "summary.json").write_text(document + "\n", encoding="utf-8")
    (folder / "summary.md").write_text(table(figures), encoding="utf-8")
    logger.info("%s\n%s", folder, table(figures))


def _plain(figure: object) -> dict[str, Any]:
    if isinstance(figure, Figure):
        return asdict(figure)
    raise TypeError(f"{type(figure).__name__} has no place in JSON")
