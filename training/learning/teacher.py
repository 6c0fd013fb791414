"""A teacher's out-of-fold answers, which take a share of the targets beside the labels.

Distillation (Hinton et al. 2015): networks that have not seen a picture say how likely a fracture is, and
where.
"""

from __future__ import annotations

import csv
import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.datasets.record import DatasetError, Record

ANSWERS, MAPS = "oof_teacher.csv", "oof_teacher_maps.npz"
PROBABILITY = "teacher_probability"


@dataclass(frozen=True, slots=True)
class Teacher:
    """Answers to N pictures: ``probability`` ``(N,)`` of a fracture, ``maps`` ``(N, h, w)`` the same by cell.

    Maps lie over the letterboxed square.
    """

    probability: NDArray[np.float32]
    maps: NDArray[np.float32]

    def take(self, rows: Sequence[int]) -> Teacher:
        """The answers to these pictures alone, in this order."""
        return Teacher(self.probability[list(rows)], self.maps[list(rows)])

    @property
    def digest(self) -> str:
        """sha256 of all answers."""
        return hashlib.sha256(self.probability.tobytes() + self.maps.tobytes()).hexdigest()


def read_teacher(folder: Path, records: Sequence[Record]) -> Teacher:
    """The answers to ``records``, in their order, from the two files in ``folder``.

    ``oof_teacher.csv`` has the columns ``image_id`` and ``teacher_probability``; ``oof_teacher_maps.npz`` the
    arrays ``image_id`` ``(M,)`` and ``probability`` ``(M, h, w)``. Raises ``DatasetError`` with one sentence
    if they are not there, are something else, or leave out one of ``records``.
    """
    try:
        with (folder / ANSWERS).open(newline="", encoding="utf-8") as file:
            chances = {row["image_id"]: float(row[PROBABILITY]) for row in csv.DictReader(file)}
        with np.load(folder / MAPS, allow_pickle=False) as arrays:
            rows = {str(name): row for row, name in enumerate(arrays["image_id"])}
            maps = np.asarray(arrays["probability"], np.float32)
    except OSError as error:
        raise DatasetError(f"{folder} holds no teacher: {error.filename or error} cannot be read.") from error
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{folder} holds no teacher's answers ({error!r}).") from error
    absent = [record.id for record in records if record.id not in chances or record.id not in rows]
    if absent:
        raise DatasetError(
            f"The teacher in {folder} has no answer to {len(absent)} pictures, the first is {absent[0]}."
        )
    probability = np.array([chances[record.id] for record in records], np.float32)
    chosen = maps[[rows[record.id] for record in records]] if records else maps[:0]
    if maps.ndim != 3 or not _are_chances(probability) or not _are_chances(chosen):
        raise DatasetError(f"The teacher's answers in {folder} are not all probabilities.")
    return Teacher(probability, chosen)


def _are_chances(values: NDArray[np.float32]) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())
