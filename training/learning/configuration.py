"""One experiment is one TOML file; this is what may stand in it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from training.datasets.record import DatasetError
from training.learning.augment import Augmentation
from training.network.names import BACKBONES, POOLINGS, STRIDES

#: What TOML may give for a field, by its annotation, and how to call that.
_TYPES: dict[str, Any] = {
    "str": str, "int": int, "float": (int, float), "bool": bool, "tuple[str, ...]": list,
}  # fmt: skip
_WORDS = {
    "str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false",
    "tuple[str, ...]": "a list of texts",
}  # fmt: skip
ROLES = ("unified", "body_part", "abnormality")
#: ``start`` of a run that goes on from no other.
IMAGENET = "imagenet"


@dataclass(frozen=True, slots=True)
class Config:
    """All that decides what a run becomes, besides data and software.

    ``role`` is what the network answers in a bundle: ``part``, ``abnormality``, or ``unified`` for both; it
    is taught nothing else. ``size`` is the side of the input in pixels, a multiple of 32. ``backbone`` and
    ``grid`` are explained at ``training.network.unified.unified``, ``drop_path`` at
    ``training.network.lite0.lite0``. ``only`` names the parts to train on (an expert for them); empty means
    all. ``start`` is ``imagenet`` or the name of an earlier run whose averaged weights to go on from.

    An epoch has ``epoch_steps`` steps, with 0 one pass over as many pictures as there are; after each the
    run can be taken up again. ``warmup`` is in steps, ``average`` the share of the old average kept at
    every step. ``body_part_weight`` and ``map_weight`` weigh their losses against the verdict's.
    ``teacher_share`` is what a teacher's answers, where they are given, take of the targets.
    ``abnormal_share`` is the share of abnormal pictures in every batch, 0 to take them as they come;
    ``class_weights`` then weighs labels and parts by the inverse of their number.

    ``calibration`` is the share of the training groups held out of training, drawn with ``fold_seed``;
    ``held_groups`` names these groups instead. With ``patience``, training stops after so many epochs without
    a lower loss on ``validation``, a share of the other training groups that is held out for this alone, and
    the best epoch's weights are what is released.
    """

    name: str
    role: str = "unified"
    size: int = 320
    backbone: str = "lite0"
    grid: str = "fine"
    only: tuple[str, ...] = ()
    start: str = IMAGENET
    epochs: int = 12
    epoch_steps: int = 0
    batch: int = 16
    rate: float = 5e-4
    warmup: int = 150
    decay: float = 0.02
    average: float = 0.995
    abnormal_share: float = 0.35
    class_weights: bool = False
    patience: int = 0
    validation: float = 0.1
    pooling: str = "logsumexp"
    temperature: float = 1.0
    dropout: float = 0.2
    drop_path: float = 0.0
    body_part_weight: float = 0.5
    map_weight: float = 10.0
    map_positive: float = 5.0
    teacher_share: float = 0.5
    seed: int = 1
    calibration: float = 0.15
    fold_seed: int = 1
    held_groups: tuple[str, ...] = ()
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if self.size % 32 or self.size < 64:
            raise DatasetError(f"size must be a multiple of 32 and at least 64, not {self.size}.")
        if self.backbone not in BACKBONES or self.grid not in STRIDES:
            raise DatasetError(f"backbone {self.backbone} or grid {self.grid} is not known.")
        if self.pooling not in POOLINGS:
            raise DatasetError(f"pooling must be one of {', '.join(POOLINGS)}, not {self.pooling}.")
        if self.role not in ROLES:
            raise DatasetError(f"role must be one of {', '.join(ROLES)}, not {self.role}.")
        if not 0 < self.calibration < 1 or not 0 < self.validation < 1:
            raise DatasetError("calibration and validation must lie between 0 and 1.")
        if not 0 <= self.abnormal_share < 1:
            raise DatasetError("abnormal_share must lie between 0 and 1, or be 0.")
        if self.abnormal_share and max(1, round(self.batch * self.abnormal_share)) >= self.batch:
            raise DatasetError(f"A batch of {self.batch} has no room for normal pictures: raise batch.")
        if min(self.epochs, self.batch) < 1 or min(self.patience, self.warmup, self.epoch_steps) < 0:
            raise DatasetError(
                "epochs and batch must be at least 1, patience, warmup and epoch_steps 0 or more."
            )
        if (
            min(self.rate, self.temperature) <= 0
            or min(self.body_part_weight, self.map_weight, self.decay) < 0
        ):
            raise DatasetError("rate and temperature must be above 0, weights and decay at least 0.")
        if min(self.average, self.dropout, self.drop_path) < 0 or (
            max(self.average, self.dropout, self.drop_path) >= 1
        ):
            raise DatasetError("average, dropout and drop_path must be at least 0 and below 1.")
        if self.drop_path and self.backbone != "lite0":
            raise DatasetError("drop_path is for the backbone lite0: set it to 0.")
        if not 0 <= self.teacher_share <= 1:
            raise DatasetError("teacher_share must lie between 0 and 1.")
        if self.augmentation.cutmix and self.class_weights:
            raise DatasetError("cutmix and class_weights do not go together: set one of them to 0.")
        if self.class_weights and self.abnormal_share:
            raise DatasetError(
                "class_weights and abnormal_share would balance the labels twice: set one of them to 0."
            )


def read_config(path: Path) -> Config:
    """The configuration in ``path``. Raises ``DatasetError`` for what is missing, unknown or impossible."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise DatasetError(f"{path} cannot be read: {error}.") from error
    moves = table.pop("augmentation", {})
    if not isinstance(moves, dict):
        raise DatasetError(f"{path}: augmentation must be a table.")
    _known(table, Config, path)
    _known(moves, Augmentation, path)
    for name in ("only", "held_groups"):
        table[name] = tuple(map(str, table.get(name, ())))
    return Config(**{"name": path.stem, **table}, augmentation=Augmentation(**moves))


def _known(table: dict[str, Any], kind: type[Config] | type[Augmentation], path: Path) -> None:
    unknown = set(table) - {item.name for item in fields(kind)}
    if unknown:
        raise DatasetError(f"{path} sets {', '.join(sorted(unknown))}, which nothing reads.")
    annotations = {item.name: str(item.type) for item in fields(kind)}
    for name, value in table.items():
        # Python takes true and false for numbers; who writes them does not.
        allowed = _TYPES[annotations[name]]
        if not isinstance(value, allowed) or isinstance(value, bool) != (allowed is bool):
            raise DatasetError(f"{path}: {name} must be {_WORDS[annotations[name]]}, not {value!r}.")
