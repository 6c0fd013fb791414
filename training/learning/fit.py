"""Fits one network to some pictures: resumable, seeded, with averaged weights.

A run's folder holds the averaged weights (with ``patience`` also the best epoch's), the state to go on
from, and ``progress.json``. A run that is taken up again gets the batches, dropout and learning rates that
it would have had.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from training.datasets.record import DatasetError
from training.datasets.squares import Squares
from training.learning.augment import Augmentation
from training.learning.batches import Batches
from training.learning.checkpoint import AVERAGE, BEST, Checkpoint, check_same, progress_of
from training.learning.configuration import Config
from training.learning.losses import BodyPartLoss, MapLoss, VerdictLoss, class_weights
from training.learning.splits import Fold
from training.learning.teacher import Teacher
from training.network.backbones import load_pretrained
from training.network.names import STRIDES
from training.network.unified import unified

#: Validation pictures are shown as they are.
STILL = Augmentation(rotation=0, zoom=0, shift=0, contrast=0, flips=False)
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """One training: its folder, the pictures, and where it begins.

    ``learn`` are the pictures to learn from and ``watched`` those that say when to stop, if any. ``fold`` is
    the fingerprint of all that the run may see. ``weights`` are the backbone's (``load_pretrained``), or
    ``start`` is the folder of an earlier run. ``teacher`` answers to ``learn``; ``logs`` is for TensorBoard.
    """

    folder: Path
    learn: Fold
    watched: Fold
    fold: str
    weights: str | None
    start: Path | None = None
    teacher: Teacher | None = None
    logs: Path | None = None

    @property
    def teacher_digest(self) -> str | None:
        return self.teacher.digest if self.teacher else None


def released(config: Config) -> str:
    """The file in a run's folder that holds the weights to release."""
    return BEST if config.patience else AVERAGE


def build(config: Config, body_parts: Sequence[str]) -> keras.Model:
    return unified(
        config.size,
        len(body_parts),
        backbone=config.backbone,
        grid=config.grid,
        pooling=config.pooling,
        temperature=config.temperature,
        dropout=config.dropout,
        drop_path=config.drop_path,
    )


def check_run(config: Config, run: Run) -> None:
    """Raise ``DatasetError`` if the folder holds another run, or the pictures are too few."""
    if len(run.learn) < config.batch:
        raise DatasetError(
            f"{len(run.learn)} pictures to train on are fewer than one batch of {config.batch}."
        )
    progress = progress_of(run.folder)
    check_same(progress, run.fold, run.folder, config)
    if progress is not None and progress.get("teacher") != run.teacher_digest:
        raise DatasetError(
            f"{run.folder} was trained with another teacher, or with none: give this a new name."
        )
    if run.start is not None:
        check_same(progress_of(run.start), run.fold, run.start)


def begin(config: Config, body_parts: Sequence[str], run: Run) -> keras.Model:
    """The network of ``run`` before its first step. Raises ``DatasetError`` if it cannot be begun."""
    check_run(config, run)
    keras.utils.set_random_seed(config.seed)
    network = build(config, body_parts)
    if progress_of(run.folder) is None:
        _start(network, config, run)
    return network


def fit(
    config: Config,
    body_parts: Sequence[str],
    network: keras.Model,
    run: Run,
    squares: Squares,
    still: Squares | None,
) -> None:
    """Train ``network`` from ``begin`` to the last epoch, or until it stops by itself.

    ``squares`` and ``still`` are those of ``run.learn`` and ``run.watched``, if any are watched.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    cells = config.size // STRIDES[config.grid]
    batches = Batches(
        run.learn,
        squares,
        body_parts,
        batch=config.batch,
        cells=cells,
        abnormal_share=config.abnormal_share,
        augmentation=config.augmentation,
        seed=config.seed,
        map_positive=config.map_positive,
        steps=config.epoch_steps,
        teacher=run.teacher,
        teacher_share=config.teacher_share,
    )
    _compile(network, config, batches, len(body_parts))
    checkpoint = Checkpoint(run.folder, config, _origin(run), _still(config, body_parts, run.watched, still))
    done = checkpoint.restore(network)
    batches.skip_to(done)
    logger.info(
        "%s: %d pictures, %d steps an epoch, %d epochs done", run.folder, len(run.learn), len(batches), done
    )
    if checkpoint.is_over or done >= config.epochs:
        return
    callbacks: list[keras.callbacks.Callback] = [checkpoint]
    if run.logs is not None:
        callbacks.append(keras.callbacks.TensorBoard(run.logs, write_graph=False))
    network.fit(
        batches,
        epochs=config.epochs,
        initial_epoch=done,
        callbacks=callbacks,
        shuffle=False,  # the batches have their own order, which follows from seed and epoch
        verbose="auto" if sys.stdout.isatty() else 2,
    )


def _still(
    config: Config, body_parts: Sequence[str], watched: Fold, squares: Squares | None
) -> Batches | None:
    """The validation pictures, each once but for the last incomplete batch, as they are."""
    if squares is None:
        return None
    return Batches(
        watched,
        squares,
        body_parts,
        batch=min(config.batch, len(watched)),
        cells=config.size // STRIDES[config.grid],
        abnormal_share=0.0,
        augmentation=STILL,
        seed=config.seed,
        map_positive=config.map_positive,
    )


def _origin(run: Run) -> dict[str, str | None]:
    """What ``progress.json`` remembers: the pictures, the teacher, the file that the weights come from."""
    earlier = progress_of(run.folder)
    if earlier is not None:
        weights = earlier.get("weights")
    elif run.start is not None:
        weights = (progress_of(run.start) or {}).get("weights")
    else:
        weights = Path(run.weights).name if run.weights else None
    return {"fold": run.fold, "weights": weights, "teacher": run.teacher_digest}


def _start(network: keras.Model, config: Config, run: Run) -> None:
    if run.start is not None:
        earlier = run.start / AVERAGE
        if not earlier.is_file():
            raise DatasetError(f"{earlier} is missing: train {config.start} first.")
        try:
            network.load_weights(earlier)
        except ValueError as error:
            raise DatasetError(f"{config.start} has another network than {config.name}.") from error
    elif run.weights is not None:
        try:
            load_pretrained(network, config.backbone, run.weights)
        except (OSError, ValueError) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise DatasetError(
                f"The weights {run.weights} do not fit {config.backbone}: {reason}."
            ) from error
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
    losses = {"part": BodyPartLoss(), "logit": VerdictLoss(), "map": MapLoss()}
    if config.class_weights:
        losses["part"] = BodyPartLoss(class_weights(batches.body_part, body_parts))
        losses["logit"] = VerdictLoss(class_weights(batches.label, 2))
    classifies, judges = config.role != "abnormality", config.role != "part"
    network.compile(
        optimizer,
        loss=losses,
        loss_weights={
            "part": config.body_part_weight * classifies,
            "logit": 1.0 * judges,
            "map": config.map_weight * judges,
        },
        jit_compile=False,
    )
    # What optimizer and losses keep count in: a resumed run's state needs somewhere to go, and variables that
    # are made while the first step is traced bring conditions into its graph and have it traced twice.
    optimizer.build(network.trainable_variables)
    answer = network(np.zeros((1, config.size, config.size, 1), np.float32))
    shape = answer["map"].shape
    nothing = {"part": np.zeros((1, body_parts)), "logit": np.zeros(1), "map": np.zeros((*shape, 2))}
    network.compute_loss(y=nothing, y_pred=answer)
