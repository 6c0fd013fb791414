"""Training of the unified network: resumable, seeded, averaged; reads from top to bottom."""

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

from training.backbones import load_pretrained
from training.batches import Batches
from training.configuration import Config
from training.datasets import Dataset, DatasetError, Record
from training.datasets.checks import check, check_apart
from training.datasets.folds import hold_out
from training.losses import MapLoss, part_loss, verdict_loss
from training.network import STRIDES, unified
from training.squares import load

AVERAGE = "average.weights.h5"
STATE = "state.weights.h5"
PROGRESS = "progress.json"
LOG = "log.jsonl"
logger = logging.getLogger(__name__)


def folds(dataset: Dataset, config: Config) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Pictures to train on and the calibration fold, which no network that ships has seen."""
    known = [record for record in dataset.split("train") if not config.only or record.part in config.only]
    if not any(record.abnormal for record in known) or all(record.abnormal for record in known):
        raise DatasetError(f"The training pictures of {', '.join(config.only)} hold one label only.")
    learn, calibrate = hold_out(known, config.calibration, config.fold_seed)
    check_apart(learn, calibrate, "training", "calibration")
    return learn, calibrate


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


def train(config: Config, dataset: Dataset, runs: Path, weights: str | None) -> Path:
    """Train to the last epoch, going on where an interrupted run stopped; return its folder.

    The folder ``runs/<name>`` holds the averaged weights (what is evaluated and released), the
    state to resume from, and ``progress.json``. Raises ``DatasetError`` before the first step
    if data or weights will not do.
    """
    check(dataset)
    run = runs / config.name
    run.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(config.seed)
    learn, _ = folds(dataset, config)
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
    _compile(network, config, steps=len(batches) * config.epochs)
    checkpoint = Checkpoint(run, config)
    done = checkpoint.restore(network)
    batches.skip_to(done)
    logger.info("%s: %d pictures, %d steps an epoch, %d epochs done", run, len(learn), len(batches), done)
    network.fit(
        batches,
        epochs=config.epochs,
        initial_epoch=done,
        callbacks=[
            checkpoint,
            keras.callbacks.TerminateOnNaN(),
        ],
        verbose="auto" if sys.stdout.isatty() else 2,
    )
    return run


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


def _compile(network: keras.Model, config: Config, steps: int) -> None:
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=config.rate / 20,
        decay_steps=max(1, steps - config.warmup),
        alpha=0.005,
        warmup_target=config.rate,
        warmup_steps=config.warmup,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.decay, clipnorm=5.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    network.compile(
        optimizer,
        loss={"part": part_loss, "logit": verdict_loss, "map": MapLoss(config.map_positive)},
        loss_weights={"part": config.part_weight, "logit": 1.0, "map": config.map_weight},
        jit_compile=False,
    )


class Checkpoint(keras.callbacks.Callback):
    """Averages the weights after every step, and writes average and state after every epoch.

    The average starts as the plain mean of the first steps and forgets at the configured pace
    later, so that early checkpoints are usable too.
    """

    def __init__(self, run: Path, config: Config) -> None:
        super().__init__()
        self.run, self.config = run, config
        self.steps = 0
        self.average: list[np.ndarray[Any, Any]] = []

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
        # Both files hold the optimizer's state too, which has nowhere to go before it is built.
        network.optimizer.build(network.trainable_variables)
        network.load_weights(self.run / AVERAGE)
        self.average = network.get_weights()
        network.load_weights(self.run / STATE)
        self.steps = int(found["steps"])
        return int(found["epochs"])

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.steps += 1
        if not self.average:
            self.average = self.model.get_weights()
            return
        keep = min(self.config.average, self.steps / (self.steps + 10))
        for mean, now in zip(self.average, self.model.get_weights(), strict=True):
            mean *= keep
            mean += (1 - keep) * now

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._replace(STATE)
        now = self.model.get_weights()
        self.model.set_weights(self.average)
        self._replace(AVERAGE)
        self.model.set_weights(now)
        with (self.run / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": epoch + 1, **(logs or {})}) + "\n")
        progress = {"epochs": epoch + 1, "steps": self.steps, "config": asdict(self.config)}
        (self.run / PROGRESS).write_text(json.dumps(progress, indent=1))

    def _replace(self, name: str) -> None:
        partial = self.run / f"partial.{name}"
        self.model.save_weights(partial)
        partial.replace(self.run / name)
