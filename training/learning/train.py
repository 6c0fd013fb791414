"""Trains one network: resumable, seeded, with averaged weights."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from training.datasets.record import Dataset, DatasetError
from training.datasets.squares import check_readable, load
from training.learning.augment import Augmentation
from training.learning.batches import Batches
from training.learning.checkpoint import AVERAGE, BEST, Checkpoint, check_same, progress_of
from training.learning.configuration import Config
from training.learning.losses import MapLoss, PartLoss, VerdictLoss, class_weights
from training.learning.splits import Fold, folds, outside_the_fold, validation
from training.network.backbones import load_pretrained
from training.network.names import STRIDES
from training.network.unified import unified

#: Validation pictures are shown as they are.
STILL = Augmentation(rotation=0, zoom=0, shift=0, contrast=0, flips=False)
logger = logging.getLogger(__name__)


def released_weights(config: Config, runs: Path, fold: str) -> Path:
    """The weights that a run's bundle gets.

    ``fold`` is ``outside_the_fold`` of the data at hand. Raises ``DatasetError`` if the run has no finished
    epoch, or learnt from other pictures: some may be of today's calibration fold.
    """
    name = BEST if config.patience else AVERAGE
    path = runs / config.name / name
    progress = progress_of(runs / config.name)
    if progress is None or not path.is_file():
        raise DatasetError(f"{path} is missing: train {config.name} first.")
    check_same(progress, fold, runs / config.name)
    return path


def build(config: Config, body_parts: Sequence[str]) -> keras.Model:
    return unified(
        config.size,
        len(body_parts),
        backbone=config.backbone,
        grid=config.grid,
        pooling=config.pooling,
        temperature=config.temperature,
        dropout=config.dropout,
    )


def train(
    config: Config, dataset: Dataset, runs: Path, weights: str | None, logs: Path | None = None
) -> Path:
    """Train to the last epoch, going on where an interrupted run stopped; return its folder.

    The folder ``runs/<name>`` holds the averaged weights (with ``patience`` also the best epoch's),
    the state to resume from, and ``progress.json``; ``logs/<name>`` is for TensorBoard. A run that is
    taken up again gets the batches, dropout and learning rates that it would have had. Raises
    ``DatasetError`` before the first step if data, configuration or weights will not do.
    """
    learn, watched = validation(config, folds(dataset, config)[0])
    if len(learn) < config.batch:
        raise DatasetError(f"{len(learn)} pictures to train on are fewer than one batch of {config.batch}.")
    run = runs / config.name
    fold = outside_the_fold(dataset, config)
    earlier = progress_of(run)
    check_same(earlier, fold, run, config)
    if config.start != "imagenet":
        check_same(progress_of(runs / config.start), fold, runs / config.start)
    keras.utils.set_random_seed(config.seed)
    network = build(config, dataset.body_parts)
    if earlier is None:
        _start(network, config, runs, weights)
    # All of them, not only these: a test picture that cannot be read should not wait until training is over.
    check_readable(dataset.records, runs / "cache")
    run.mkdir(parents=True, exist_ok=True)
    batches = Batches(
        learn,
        load(learn, config.size, runs / "cache"),
        dataset.body_parts,
        batch=config.batch,
        cells=config.size // STRIDES[config.grid],
        abnormal_share=config.abnormal_share,
        augmentation=config.augmentation,
        seed=config.seed,
    )
    _compile(network, config, batches, len(dataset.body_parts))
    still = _still(config, dataset, watched, runs) if watched else None
    origin = earlier.get("weights") if earlier else _origin(config, runs, weights)
    checkpoint = Checkpoint(run, config, {"fold": fold, "weights": origin}, still)
    done = checkpoint.restore(network)
    batches.skip_to(done)
    logger.info("%s: %d pictures, %d steps an epoch, %d epochs done", run, len(learn), len(batches), done)
    if checkpoint.is_over:
        return run
    callbacks: list[keras.callbacks.Callback] = [checkpoint]
    if logs is not None:
        callbacks.append(keras.callbacks.TensorBoard(logs / config.name, write_graph=False))
    network.fit(
        batches,
        epochs=config.epochs,
        initial_epoch=done,
        callbacks=callbacks,
        shuffle=False,  # the batches have their own order, which follows from seed and epoch
        verbose="auto" if sys.stdout.isatty() else 2,
    )
    return run


def _still(config: Config, dataset: Dataset, watched: Fold, runs: Path) -> Batches:
    """The validation pictures, each once but for the last incomplete batch, as they are."""
    return Batches(
        watched,
        load(watched, config.size, runs / "cache"),
        dataset.body_parts,
        batch=min(config.batch, len(watched)),
        cells=config.size // STRIDES[config.grid],
        abnormal_share=0.0,
        augmentation=STILL,
        seed=config.seed,
    )


def _origin(config: Config, runs: Path, weights: str | None) -> str | None:
    """The file that the weights come from in the end, for the card."""
    if config.start == "imagenet":
        return Path(weights).name if weights else None
    return (progress_of(runs / config.start) or {}).get("weights")


def _start(network: keras.Model, config: Config, runs: Path, weights: str | None) -> None:
    if config.start != "imagenet":
        earlier = runs / config.start / AVERAGE
        if not earlier.is_file():
            raise DatasetError(f"{earlier} is missing: train {config.start} first.")
        try:
            network.load_weights(earlier)
        except ValueError as error:
            raise DatasetError(f"{config.start} has another network than {config.name}.") from error
    elif weights is not None:
        try:
            load_pretrained(network, config.backbone, weights)
        except (OSError, ValueError) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise DatasetError(f"The weights {weights} do not fit {config.backbone}: {reason}.") from error
    else:
        logger.warning("No --weights: training starts from random numbers and will need far longer.")


def _compile(network: keras.Model, config: Config, batches: Batches, body_parts: int) -> None:
    steps = len(batches) * config.epochs
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=config.rate / 20,
        decay_steps=max(1, steps - config.warmup),
        alpha=0.005,
        warmup_target=config.rate,
        warmup_steps=config.warmup,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.decay, clipnorm=5.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    losses = {"part": PartLoss(), "logit": VerdictLoss(), "map": MapLoss(config.map_positive)}
    if config.class_weights:
        losses["part"] = PartLoss(class_weights(batches.body_part, body_parts))
        losses["logit"] = VerdictLoss(class_weights(batches.label, 2))
    tells, judges = config.role != "abnormality", config.role != "body_part"
    network.compile(
        optimizer,
        loss=losses,
        loss_weights={
            "part": config.part_weight * tells,
            "logit": 1.0 * judges,
            "map": config.map_weight * judges,
        },
        jit_compile=False,
    )
    # What optimizer and losses keep count in: a resumed run's state needs somewhere to go, and variables that
    # are made while the first step is traced bring conditions into its graph and have it traced twice.
    optimizer.build(network.trainable_variables)
    answer = network(np.zeros((1, config.size, config.size, 1), np.float32))
    nothing = {"part": np.zeros(1, np.int32), "logit": np.zeros(1), "map": np.zeros(answer["map"].shape)}
    network.compute_loss(y=nothing, y_pred=answer)
