"""Pictures of other things than limbs, to set the out-of-distribution detector or to measure it.

A folder of them holds ``manifest.csv`` with the columns ``file``, ``source`` and ``licence``. Pictures of one
source are alike, so a source counts as one voice, and a detector is measured on sources that did not set it.
"""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from training.datasets.record import DatasetError
from training.datasets.squares import read_grey
from training.release.outliers import Pixels

COLUMNS = {"file", "source", "licence"}


@dataclass(frozen=True, slots=True)
class Stranger:
    """One picture: where it comes from, under which licence, and ``uint8 (H, W)`` as displayed."""

    source: str
    licence: str
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list."""

    source: str
    licence: str
    path: Path


def read_strangers(folder: Path, without: Collection[str] = ()) -> list[Stranger]:
    """The pictures that ``folder/manifest.csv`` lists, but for the sources ``without``.

    Raises ``DatasetError`` with one sentence if the list or a picture cannot be read, or nothing is left.
    """
    listed = read_list(folder)
    unknown = set(without) - {one.source for one in listed}
    if unknown:
        raise DatasetError(f"{folder} has no source called {', '.join(sorted(unknown))}.")
    chosen = [one for one in listed if one.source not in without]
    if not chosen:
        raise DatasetError(f"{folder} lists no picture of another source.")
    return [Stranger(one.source, one.licence, read_grey(one.path)) for one in chosen]


def read_list(folder: Path) -> list[Listed]:
    """What ``folder/manifest.csv`` lists. Raises ``DatasetError`` with one sentence."""
    path = folder / "manifest.csv"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = COLUMNS - set(reader.fieldnames or ())
            if missing:
                raise DatasetError(f"{path} lacks the columns {', '.join(sorted(missing))}.")
            return [Listed(row["source"], row["licence"], folder / row["file"]) for row in reader]
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing: it lists pictures, their sources and licences.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is no CSV table in UTF-8 ({error}).") from error
