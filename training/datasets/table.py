"""Any radiographs, listed in one CSV table.

Columns ``path`` (relative to the table), ``group`` (the patient), ``split`` (train or test), ``part``
and ``abnormal`` (0 or 1) are needed; ``study``, ``flags`` (joined by +) and ``boxes`` (a JSON list
of ``[xmin, ymin, xmax, ymax]`` in pixels) are welcome.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import cast

from training.datasets.record import Box, Dataset, DatasetError, Record, Split

NEEDED = ("path", "group", "split", "part", "abnormal")


def read(path: Path) -> Dataset:
    """The pictures that ``path`` lists. Raises ``DatasetError`` with one sentence that names the line."""
    if not path.is_file():
        raise DatasetError(f"{path} is missing.")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            raise DatasetError(f"{path.name} lacks the columns {', '.join(missing)}.")
        records = tuple(_record(path.parent, row, line) for line, row in enumerate(reader, start=2))
    if not records:
        raise DatasetError(f"{path.name} lists no picture.")
    parts = tuple(sorted({record.part for record in records if record.part}))
    return Dataset(name=path.stem, target="abnormality", parts=parts, records=records)


def _record(folder: Path, row: dict[str, str | None], line: int) -> Record:
    empty = [name for name in NEEDED if name != "part" and not (row[name] or "").strip()]
    if empty:
        raise DatasetError(f"Line {line} lacks {', '.join(empty)}.")
    name, split, label = (cast(str, row[key]).strip() for key in ("path", "split", "abnormal"))
    if split not in ("train", "test"):
        raise DatasetError(f"Line {line}: split is {split!r}, it must be train or test.")
    if label not in ("0", "1"):
        raise DatasetError(f"Line {line}: abnormal is {label!r}, it must be 0 or 1.")
    boxes = _boxes(row.get("boxes"), line)
    width, height = _sides(folder / name) if boxes else (0, 0)
    return Record(
        id=name,
        path=folder / name,
        split=cast(Split, split),
        group=cast(str, row["group"]).strip(),
        abnormal=label == "1",
        part=(row["part"] or "").strip().lower() or None,
        study=(row.get("study") or "").strip() or None,
        boxes=boxes,
        flags=frozenset((row.get("flags") or "").split("+")) - {""},
        width=width,
        height=height,
    )


def _boxes(text: str | None, line: int) -> tuple[Box, ...]:
    try:
        found = json.loads(text or "[]")
        return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in found)
    except (ValueError, TypeError) as error:
        raise DatasetError(f"Line {line}: boxes must be a list of [xmin, ymin, xmax, ymax].") from error


def _sides(path: Path) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.width, picture.height
    except OSError as error:
        raise DatasetError(f"{path.name} cannot be read: {error}.") from error
