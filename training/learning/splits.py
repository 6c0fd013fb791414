"""Which pictures a configuration learns from, which stop it, and which calibrate what is released."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from training.datasets.checks import check, check_apart
from training.datasets.folds import draw_folds, hold_out
from training.datasets.record import Dataset, DatasetError, Record
from training.learning.configuration import Config

Fold = tuple[Record, ...]
#: Folds of a cross-validation, and what is added to ``fold_seed`` to draw all but the first of them.
FOLDS, CROSS_SEED = 5, 10


def folds(dataset: Dataset, config: Config) -> tuple[Fold, Fold]:
    """Pictures to train on and the calibration fold, which no network that ships has seen.

    The fold is drawn before ``only`` is heeded: an expert and a general network that are released
    together have seen none of each other's calibration pictures. Raises ``DatasetError`` if the data or
    these folds will not do.
    """
    check(dataset)
    train = dataset.split("train")
    strange = set(config.only) - {record.body_part for record in train}
    if strange:
        raise DatasetError(
            f"{dataset.name} has no training picture of the part {', '.join(sorted(strange))}."
        )
    both = (
        _named(train, config) if config.held_groups else hold_out(train, config.calibration, config.fold_seed)
    )
    check_apart(*both, "training", "calibration")
    if not all(map(_has_both_labels, both)):
        groups = len({record.group for record in train})
        raise DatasetError(
            f"Holding out {config.calibration:.0%} of {groups} training groups for calibration leaves "
            "one label only on one side: bring more groups, or change calibration."
        )
    if not config.only:
        return both
    learn, held = (tuple(record for record in fold if record.body_part in config.only) for fold in both)
    if not _has_both_labels(learn):
        raise DatasetError(f"The training pictures of {', '.join(config.only)} hold one label only.")
    return learn, held


def _named(train: Fold, config: Config) -> tuple[Fold, Fold]:
    """The training pictures without and with the groups that ``config`` names."""
    unknown = set(config.held_groups) - {record.group for record in train}
    if unknown:
        raise DatasetError(
            f"No training picture has the group {', '.join(sorted(unknown))}, which held_groups of "
            f"{config.name} names."
        )
    held = set(config.held_groups)
    return (
        tuple(record for record in train if record.group not in held),
        tuple(record for record in train if record.group in held),
    )


def calibration_folds(dataset: Dataset, config: Config) -> tuple[Fold, Fold]:
    """``folds``, the second of which can calibrate. Raises ``DatasetError`` if it cannot."""
    learn, held = folds(dataset, config)
    if len({record.abnormal for record in held}) < 2:
        raise DatasetError(f"The calibration pictures of {', '.join(config.only)} hold one label only.")
    return learn, held


def validation(config: Config, learn: Fold) -> tuple[Fold, Fold]:
    """Of the pictures to learn from, those that are and those that say when to stop, if any."""
    if not config.patience:
        return learn, ()
    kept, watched = hold_out(learn, config.validation, config.fold_seed + 1)
    check_apart(kept, watched, "training", "validation")
    if not (_has_both_labels(kept) and _has_both_labels(watched)):
        raise DatasetError(
            "The pictures to train on or those to validate with hold one label only: "
            "change validation, or set patience to 0."
        )
    return kept, watched


def cross_folds(dataset: Dataset, config: Config) -> tuple[Fold, ...]:
    """All training pictures in five folds by group; the first is the calibration fold.

    The same data, ``calibration`` and ``fold_seed`` give the same folds. Raises ``DatasetError`` if data or
    folds will not do.
    """
    everything = replace(config, only=())
    drawn = draw_folds(
        dataset.split("train"), folds(dataset, everything)[1], FOLDS, config.fold_seed + CROSS_SEED
    )
    for number, held in enumerate(drawn):
        learn = tuple(record for fold in drawn if fold is not held for record in fold)
        check_apart(learn, held, "training", f"fold {number}")
        if not (_has_both_labels(learn) and _has_both_labels(held)):
            raise DatasetError(f"Fold {number} or the rest holds one label only: bring more groups.")
    return drawn


def fingerprint(records: Sequence[Record]) -> str:
    """sha256 over the sorted ids of ``records``."""
    return hashlib.sha256("\n".join(sorted(record.id for record in records)).encode()).hexdigest()


def outside_the_fold(dataset: Dataset, config: Config) -> str:
    """The fingerprint of all training pictures that any network with ``config``'s fold may have seen.

    It changes when pictures are added or removed, and when corrected labels move the fold.
    """
    return fingerprint(folds(dataset, replace(config, only=()))[0])


def _has_both_labels(fold: Fold) -> bool:
    return len({record.abnormal for record in fold}) == 2
