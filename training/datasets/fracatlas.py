"""FracAtlas with part labels and group splits: ``manifest.csv`` beside a folder ``images``."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

from training.datasets.record import Box, Dataset, DatasetError, Record, Split

#: Along the limbs, so that neighbours in this list that share a joint are neighbours in the body.
PARTS = (
    "hand",
    "wrist",
    "forearm",
    "elbow",
    "humerus",
    "shoulder",
    "hip",
    "femur",
    "knee",
    "tibia",
    "ankle",
    "foot",
)
NEIGHBOURS = frozenset(frozenset(pair) for pair in itertools.pairwise(PARTS) if pair != ("shoulder", "hip"))
ATTRIBUTION = (
    "FracAtlas: I. Abedeen et al., FracAtlas: A Dataset for Fracture Classification, Localization and "
    "Segmentation of Musculoskeletal Radiographs, Scientific Data 10 (2023), "
    "figshare 10.6084/m9.figshare.22363012"
)
ABOUT = (
    "The source names no patients, hospitals, ages or scanners beyond its own, so splits follow groups of "
    "neighbouring and duplicate pictures, and nothing is known about other places; expect worse. "
    '"Not fractured" in it does not mean healthy: other disease is not looked for. Nearly all its pictures '
    "with metal are fractured. The part labels are the project's own."
)
COLUMNS = {"image_id", "split", "group", "part", "part_flags", "fractured", "width", "height", "boxes"}


def read(root: Path) -> Dataset:
    """All pictures that ``root/manifest.csv`` lists. Raises ``DatasetError`` with one sentence."""
    manifest = root / "manifest.csv"
    if not manifest.is_file():
        raise DatasetError(f"{manifest} is missing: a FracAtlas folder holds manifest.csv and images.")
    try:
        with manifest.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = COLUMNS - set(reader.fieldnames or ())
            if missing:
                raise DatasetError(f"{manifest} lacks the columns {', '.join(sorted(missing))}.")
            records = tuple(_record(root, row, line) for line, row in enumerate(reader, start=2))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{manifest} is no CSV table in UTF-8 ({error}).") from error
    if not records:
        raise DatasetError(f"{manifest} lists no picture.")
    return Dataset(
        name="FracAtlas",
        target="fracture",
        body_parts=PARTS,
        records=records,
        attribution=ATTRIBUTION,
        licence="CC BY 4.0",
        about=ABOUT,
    )


def _record(root: Path, row: dict[str, str], line: int) -> Record:
    try:
        boxes: tuple[Box, ...] = tuple(
            (float(box[0]), float(box[1]), float(box[2]), float(box[3])) for box in json.loads(row["boxes"])
        )
        return Record(
            id=row["image_id"],
            path=root / "images" / row["image_id"],
            split=_split(row["split"]),
            group=row["group"],
            abnormal=bool(int(row["fractured"])),
            body_part=row["part"] if row["part"] in PARTS else None,
            boxes=boxes,
            flags=frozenset(row["part_flags"].split("+")) - {""},
            width=int(row["width"]),
            height=int(row["height"]),
        )
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise DatasetError(f"Line {line} of manifest.csv cannot be read: {error}.") from error


def _split(word: str) -> Split:
    if word == "train":
        return "train"
    if word == "test":
        return "test"
    raise ValueError(f"split {word!r} is neither train nor test")
