"""Trains the network of a configuration on all that its calibration fold leaves."""

from __future__ import annotations

from pathlib import Path

from training.datasets.record import Dataset, DatasetError
from training.datasets.squares import check_readable, load
from training.learning.checkpoint import check_same, progress_of
from training.learning.configuration import IMAGENET, Config
from training.learning.fit import Run, begin, fit, released
from training.learning.splits import folds, outside_the_fold, validation
from training.learning.teacher import read_teacher


def released_weights(config: Config, runs: Path, fold: str) -> Path:
    """The weights that a run's bundle gets.

    ``fold`` is ``outside_the_fold`` of the data at hand. Raises ``DatasetError`` if the run has no finished
    epoch, or learnt from other pictures: some may be of today's calibration fold.
    """
    path = runs / config.name / released(config)
    progress = progress_of(runs / config.name)
    if progress is None or not path.is_file():
        raise DatasetError(f"{path} is missing: train {config.name} first.")
    check_same(progress, fold, runs / config.name)
    return path


def train(
    config: Config,
    dataset: Dataset,
    runs: Path,
    weights: str | None,
    logs: Path | None = None,
    teacher: Path | None = None,
) -> Path:
    """Train to the last epoch, going on where an interrupted run stopped; return its folder.

    The folder is ``runs/<name>`` (``training.learning.fit`` says what lies in it); ``logs/<name>`` is for
    TensorBoard; ``teacher`` is a folder of a teacher's answers. Raises ``DatasetError`` before the first
    step if data, configuration, weights or teacher will not do.
    """
    learn, watched = validation(config, folds(dataset, config)[0])
    run = Run(
        folder=runs / config.name,
        learn=learn,
        watched=watched,
        fold=outside_the_fold(dataset, config),
        weights=weights,
        start=None if config.start == IMAGENET else runs / config.start,
        teacher=read_teacher(teacher, learn) if teacher else None,
        logs=logs / config.name if logs else None,
    )
    network = begin(config, dataset.body_parts, run)
    # All of them, not only these: a test picture that cannot be read should not wait until training is over.
    check_readable(dataset.records, runs / "cache")
    squares = load(learn, config.size, runs / "cache")
    still = load(watched, config.size, runs / "cache") if watched else None
    fit(config, dataset.body_parts, network, run, squares, still)
    return run.folder
