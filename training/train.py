"""Training of a network: resumable, seeded, averaged; reads from top to bottom."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.augment import Augmentation
from training.backbones import load_pretrained
from training.batches import Batches
from training.configuration import Config
from training.datasets import Dataset, DatasetError, Record
from training.datasets.checks import check, check_apart
from training.datasets.folds import hold_out
from training.losses import MapLoss, PartLoss, VerdictLoss, class_weights
from training.network import STRIDES, unified
from training.squares import load

AVERAGE = "average.weights.h5"
BEST = "best.weights.h5"
STATE = "state.weights.h5"
PROGRESS = "progress.json"
LOG = "log.jsonl"
#: Validation pictures are shown as they are.
STILL = Augmentation(rotation=0, zoom=0, shift=0, contrast=0, flips=False)
logger = logging.getLogger(__name__)


def folds(dataset: Dataset, config: Config) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Pictures to train on and the calibration fold, which no network that ships has seen.

    The fold is drawn before ``only`` is heeded: an expert and a general network that are released
    together have seen none of each other's calibration pictures.
    """
    known = [record for record in dataset.split("train") if not config.only or record.part in config.only]
    if len({record.abnormal for record in known}) < 2:
        raise DatasetError(f"The training pictures of {', '.join(config.only)} hold one label only.")
    both = hold_out(dataset.split("train"), config.calibration, config.fold_seed)
    check_apart(*both, "training", "calibration")
    chosen = {record.id for record in known}
    learn, calibrate = (tuple(record for record in fold if record.id in chosen) for fold in both)
    return learn, calibrate


def _validation(config: Config, learn: tuple[Record, ...]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Of the pictures to learn from, those that are and those that say when to stop."""
    if not config.patience:
        return learn, ()
    kept, watched = hold_out(learn, config.validation, config.fold_seed + 1)
    check_apart(kept, watched, "training", "validation")
    if any(len({record.abnormal for record in fold}) < 2 for fold in (kept, watched)):
        raise DatasetError(
            "The pictures to train on or those to validate with hold one label only: "
            "change validation, or set patience to 0."
        )
    return kept, watched


def released_weights(config: Config, runs: Path) -> Path:
    """The weights that a run's bundle gets. Raises ``DatasetError`` if it has no finished epoch."""
    name = BEST if config.patience else AVERAGE
    path = runs / config.name / name
    if not path.is_file():
        raise DatasetError(f"{path} is missing: train {config.name} first.")
    return path


def build(config: Config, parts: Sequence[str]) -> keras.Model:
    return unified(
        config.size,
        len(parts),
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
    the state to resume from, and ``progress.json``; ``logs/<name>`` is for TensorBoard. Raises
    ``DatasetError`` before the first step if data or weights will not do.
    """
    check(dataset)
    run = runs / config.name
    run.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(config.seed)
    learn, watched = _validation(config, folds(dataset, config)[0])
    network = build(config, dataset.parts)
    _start(network, config, runs, weights)
    batches = Batches(
        learn,
        load(learn, config.size, runs / "cache"),
        dataset.parts,
        batch=config.batch,
        cells=config.size // STRIDES[config.grid],
        abnormal_share=config.abnormal_share,
        augmentation=config.augmentation,
        seed=config.seed,
    )
    _compile(network, config, batches, len(dataset.parts))
    checkpoint = Checkpoint(run, config, _still(config, dataset, watched, runs) if watched else None)
    done = checkpoint.restore(network)
    batches.skip_to(done)
    logger.info("%s: %d pictures, %d steps an epoch, %d epochs done", run, len(learn), len(batches), done)
    if checkpoint.is_over:
        return run
    callbacks = [checkpoint, keras.callbacks.TerminateOnNaN()]
    if logs is not None:
        callbacks.append(keras.callbacks.TensorBoard(logs / config.name, write_graph=False))
    network.fit(
        batches,
        epochs=config.epochs,
        initial_epoch=done,
        callbacks=callbacks,
        verbose="auto" if sys.stdout.isatty() else 2,
    )
    return run


def _still(config: Config, dataset: Dataset, watched: tuple[Record, ...], runs: Path) -> Batches:
    """The validation pictures, each once but for the last incomplete batch, as they are."""
    return Batches(
        watched,
        load(watched, config.size, runs / "cache"),
        dataset.parts,
        batch=min(config.batch, len(watched)),
        cells=config.size // STRIDES[config.grid],
        abnormal_share=0.0,
        augmentation=STILL,
        seed=config.seed,
    )


def _start(network: keras.Model, config: Config, runs: Path, weights: str | None) -> None:
    if config.start != "imagenet":
        earlier = runs / config.start / AVERAGE
        if not earlier.is_file():
            raise DatasetError(f"{earlier} is missing: train {config.start} first.")
        network.load_weights(earlier)
    elif weights is not None:
        try:
            load_pretrained(network, config.backbone, weights)
        except (OSError, ValueError) as error:
            raise DatasetError(f"The weights {weights} do not fit {config.backbone}: {error}") from error
    else:
        logger.warning("No --weights: training starts from random numbers and will need far longer.")


def _compile(network: keras.Model, config: Config, batches: Batches, parts: int) -> None:
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
        losses["part"] = PartLoss(class_weights(batches.part, parts))
        losses["logit"] = VerdictLoss(class_weights(batches.label, 2))
    tells, judges = config.role != "abnormality", config.role != "part"
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


class Checkpoint(keras.callbacks.Callback):
    """Averages the weights after every step, and writes average and state after every epoch.

    The average starts as the plain mean of the first steps and forgets at the configured pace
    later, so that early checkpoints are usable too. With ``watched`` pictures the average's loss on
    them is taken after every epoch: the lowest is kept apart, and ``patience`` epochs without a
    lower one end the training.
    """

    def __init__(self, run: Path, config: Config, watched: Batches | None = None) -> None:
        super().__init__()
        self.run, self.config, self.watched = run, config, watched
        self.steps = 0
        self.lowest, self.waited = float("inf"), 0
        self.average: list[np.ndarray[Any, Any]] = []

    @property
    def is_over(self) -> bool:
        """Has it waited long enough for a lower loss?"""
        return bool(self.config.patience) and self.waited >= self.config.patience

    def restore(self, network: keras.Model) -> int:
        """Load what an earlier process left; return the number of finished epochs."""
        progress = self.run / PROGRESS
        if not progress.is_file():
            return 0
        found = json.loads(progress.read_text())
        if found["config"] != json.loads(json.dumps(asdict(self.config))):
            raise DatasetError(
                f"{self.run} holds a run with another configuration: give this one a new name."
            )
        network.load_weights(self.run / AVERAGE)
        self.average = network.get_weights()
        network.load_weights(self.run / STATE)
        self.steps = int(found["steps"])
        self.lowest, self.waited = found.get("lowest", self.lowest), found.get("waited", 0)
        return int(found["epochs"])

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.steps += 1
        if not self.average:
            self.average = self.model.get_weights()
            return
        keep = min(self.config.average, self.steps / (self.steps + 10))
        for mean, now in zip(self.average, self.model.get_weights(), strict=True):
            if mean.dtype.kind == "f":  # EfficientNet's normalisation counts, too
                mean *= keep
                mean += (1 - keep) * now

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._replace(STATE)
        now = self.model.get_weights()
        self.model.set_weights(self.average)
        self._replace(AVERAGE)
        progress: dict[str, Any] = {"epochs": epoch + 1, "steps": self.steps, "config": asdict(self.config)}
        if self.watched is not None:
            self._watch(self.watched, logs)
            progress |= {"lowest": self.lowest, "waited": self.waited}
        self.model.set_weights(now)
        with (self.run / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": epoch + 1, **(logs or {})}) + "\n")
        (self.run / PROGRESS).write_text(json.dumps(progress, indent=1))

    def _watch(self, watched: Batches, logs: dict[str, float] | None) -> None:
        loss = float(self.model.evaluate(watched, verbose=0, return_dict=True)["loss"])
        if logs is not None:
            logs["val_loss"] = loss
        if loss < self.lowest:
            self.lowest, self.waited = loss, 0
            self._replace(BEST)
        else:
            self.waited += 1
        if self.is_over:
            logger.info("%d epochs without a lower validation loss: stopped.", self.waited)
            self.model.stop_training = True

    def _replace(self, name: str) -> None:
        partial = self.run / f"partial.{name}"
        self.model.save_weights(partial)
        partial.replace(self.run / name)
