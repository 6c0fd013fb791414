"""One record a picture, whatever the data set it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Split = Literal["train", "test"]
#: ``xmin, ymin, xmax, ymax`` in pixels of the picture as displayed (EXIF orientation applied)
Box = tuple[float, float, float, float]


class DatasetError(Exception):
    """A data set that cannot be trained on. ``str(error)`` is one sentence for people."""


@dataclass(frozen=True, slots=True)
class Record:
    """A labelled picture.

    ``group`` is the patient, or what stands for one: groups never straddle a split or a fold.
    ``study`` is the examination, ``None`` where the source names none. ``part`` is ``None``
    where it is unknown or none of the network's parts. ``width`` and ``height`` are 0 where
    the source does not say. ``flags`` are free words such as ``hw`` (metal) and ``cast``.
    """

    id: str
    path: Path
    split: Split
    group: str
    abnormal: bool
    body_part: str | None = None
    study: str | None = None
    boxes: tuple[Box, ...] = ()
    flags: frozenset[str] = frozenset()
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Dataset:
    """Records with what a bundle must say about them. ``parts`` is the order of the part head.

    ``about`` is what a model card must say about where the pictures and labels come from.
    """

    name: str
    target: str
    body_parts: tuple[str, ...]
    records: tuple[Record, ...]
    attribution: str = ""
    licence: str = ""
    about: str = ""

    def split(self, split: Split) -> tuple[Record, ...]:
        return tuple(record for record in self.records if record.split == split)
