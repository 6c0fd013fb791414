"""What must hold before any long computation starts; each failure is one sentence."""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Sequence

from training.datasets.record import Dataset, DatasetError, Record


def check(dataset: Dataset) -> None:
    """Raise ``DatasetError`` for leaks, missing pictures or a split without both labels."""
    train, test = dataset.split("train"), dataset.split("test")
    check_apart(train, test, "train", "test")
    check_ids(dataset.records)
    for name, records in (("train", train), ("test", test)):
        if not records:
            raise DatasetError(f"{dataset.name} has no {name} pictures.")
        if len({record.abnormal for record in records}) < 2:
            raise DatasetError(f"The {name} split of {dataset.name} holds one label only.")
    absent = [record.id for record in dataset.records if not record.path.is_file()]
    if absent:
        raise DatasetError(f"{len(absent)} pictures of {dataset.name} are missing, the first is {absent[0]}.")


def check_ids(records: Iterable[Record]) -> None:
    """No picture twice, under no spelling of its path."""
    seen: set[str] = set()
    for record in records:
        names = {record.id, os.path.normpath(record.path)}
        if names & seen:
            raise DatasetError(f"Picture {record.id} is listed twice.")
        seen |= names


def check_apart(first: Sequence[Record], second: Sequence[Record], one: str, other: str) -> None:
    """No group on both sides: a network must never be judged on a patient it has seen."""
    shared = {record.group for record in first} & {record.group for record in second}
    if shared:
        raise DatasetError(
            f"{len(shared)} groups are in both {one} and {other}, the first is {min(shared)}: split by group."
        )
