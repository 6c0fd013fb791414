"""What a run leaves on the disk after every epoch, so that it can be stopped at any time and go on."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.datasets.record import DatasetError
from training.learning.batches import Batches
from training.learning.configuration import Config

AVERAGE = "average.weights.h5"
BEST = "best.weights.h5"
STATE = "state.weights.h5"
PROGRESS = "progress.json"
LOG = "log.jsonl"
logger = logging.getLogger(__name__)


def progress_of(run: Path) -> dict[str, Any] | None:
    """What ``run`` has reached, ``None`` before its first finished epoch."""
    try:
        progress: dict[str, Any] = json.loads((run / PROGRESS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DatasetError(f"{run / PROGRESS} is damaged: delete {run} and train again.") from error
    return progress


def check_same(progress: dict[str, Any] | None, fold: str, run: Path, config: Config | None = None) -> None:
    """Raise ``DatasetError`` if ``run`` has another ``config`` (if given), or another fold than ``fold``.

    With other data, or the same with another fold, a run may have learnt from what now calibrates it.
    """
    if progress is None:
        return
    if config is not None and progress["config"] != json.loads(json.dumps(asdict(config))):
        raise DatasetError(f"{run} holds a run with another configuration: give this one a new name.")
    # Runs of before this was written down say nothing.
    if progress.get("fold", fold) != fold:
        raise DatasetError(
            f"{run} was trained with another calibration fold (other pictures or labels, or another "
            "calibration or fold_seed): train it anew under a new name."
        )


class Checkpoint(keras.callbacks.Callback):
    """Averages the weights after every step, and writes average and state after every epoch.

    The average forgets quickly in the first steps and at the configured pace later, so that early
    checkpoints are usable too. With ``watched`` pictures the average's loss on them is taken after every
    epoch: the lowest is kept apart, and ``patience`` epochs without a lower one end the training.
    ``origin`` goes into ``progress.json``: ``fold`` (``training.learning.splits.outside_the_fold``) and
    ``weights``, the file that the run began with. A loss that is no number ends it with a ``DatasetError``
    and leaves the last epoch's files as they are.
    """

    def __init__(
        self, run: Path, config: Config, origin: dict[str, str | None], watched: Batches | None = None
    ) -> None:
        super().__init__()
        self.run, self.config, self.origin, self.watched = run, config, origin, watched
        self.steps = 0
        self.lowest, self.waited = math.inf, 0
        self.average: list[np.ndarray[Any, Any]] = []

    @property
    def is_over(self) -> bool:
        """Has it waited long enough for a lower loss?"""
        return bool(self.config.patience) and self.waited >= self.config.patience

    def restore(self, network: keras.Model) -> int:
        """Load what an earlier process left into the compiled ``network``; return the finished epochs."""
        progress = progress_of(self.run)
        if progress is None:
            return 0
        network.load_weights(self.run / AVERAGE)
        self.average = network.get_weights()
        network.load_weights(self.run / STATE)
        self.steps = int(progress["steps"])
        if int(network.optimizer.iterations) != self.steps:
            raise DatasetError(
                f"{self.run} was killed while its files were exchanged: delete it and train again."
            )
        self.lowest, self.waited = progress.get("lowest", self.lowest), progress.get("waited", 0)
        return int(progress["epochs"])

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Dropout's random numbers follow from seed and epoch: they are in no file of weights."""
        for number, layer in enumerate(self.model.layers):
            generator = getattr(layer, "seed_generator", None)
            if generator is not None:
                drawn = np.random.SeedSequence((self.config.seed, epoch, number)).generate_state(2)
                generator.state.assign(drawn & 0x7FFFFFFF)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.steps += 1
        if not math.isfinite(float((logs or {}).get("loss", 0.0))):
            raise DatasetError(
                f"The loss is no number any more after step {self.steps}: "
                "lower the rate in the configuration, and give the run a new name."
            )
        if not self.average:
            self.average = self.model.get_weights()
            return
        keep = min(self.config.average, self.steps / (self.steps + 10))
        for mean, now in zip(self.average, self.model.get_weights(), strict=True):
            if mean.dtype.kind == "f":  # EfficientNet's normalisation counts, too
                mean *= keep
                mean += (1 - keep) * now

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        progress: dict[str, Any] = {
            "epochs": epoch + 1, "steps": self.steps, **self.origin, "config": asdict(self.config),
        }  # fmt: skip
        self._write(STATE)
        written = [STATE, AVERAGE]
        now = self.model.get_weights()
        self.model.set_weights(self.average)
        self._write(AVERAGE)
        if self.watched is not None:
            if self._is_lowest(self.watched, logs):
                self._write(BEST)
                written.append(BEST)
            progress |= {"lowest": self.lowest, "waited": self.waited}
        self.model.set_weights(now)
        # Writing takes long, renaming does not: who stops the run finds one epoch's files or the next one's.
        self._partial(PROGRESS).write_text(json.dumps(progress, indent=1), encoding="utf-8")
        for name in (*written, PROGRESS):
            self._partial(name).replace(self.run / name)
        with (self.run / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": epoch + 1, **(logs or {})}) + "\n")
        if self.is_over:
            logger.info("%d epochs without a lower validation loss: stopped.", self.waited)
            self.model.stop_training = True

    def _is_lowest(self, watched: Batches, logs: dict[str, float] | None) -> bool:
        """Is the loss on the ``watched`` pictures lower than ever? Puts it into ``logs``."""
        watched.skip_to(
            0
        )  # Keras goes on to the next order after a pass, and the incomplete batch is left out
        loss = float(self.model.evaluate(watched, verbose=0, return_dict=True)["loss"])
        if logs is not None:
            logs["val_loss"] = loss
        self.waited = 0 if loss < self.lowest else self.waited + 1
        self.lowest = min(self.lowest, loss)
        return self.waited == 0

    def _write(self, name: str) -> None:
        self.model.save_weights(self._partial(name))

    def _partial(self, name: str) -> Path:
        return self.run / f"partial.{name}"
