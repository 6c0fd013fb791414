"""Any radiographs, listed in one CSV table.

Columns ``path`` (relative to the table), ``group`` (the patient), ``split`` (train or test), ``part``
and ``abnormal`` (0 or 1) are needed; ``study``, ``flags`` (joined by +) and ``boxes`` (a JSON list
of ``[xmin, ymin, xmax, ymax]`` in pixels of the picture as displayed) are welcome.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import cast

from training.datasets.record import Box, Dataset, DatasetError, Record, Split

ABOUT = (
    "The pictures were listed in a table, and nothing else is known here about where they and their labels "
    "come from. Splits follow the groups in that table."
)
NEEDED = ("path", "group", "split", "part", "abnormal")


def read(path: Path) -> Dataset:
    """The pictures that ``path`` lists. Raises ``DatasetError`` with one sentence that names the line."""
    if not path.is_file():
        raise DatasetError(f"{path} is missing.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
            if missing:
                raise DatasetError(f"{path.name} lacks the columns {', '.join(missing)}.")
            records = tuple(_record(path.parent, row, line) for line, row in enumerate(reader, start=2))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path.name} is no CSV table in UTF-8 ({error}): save it as that.") from error
    if not records:
        raise DatasetError(f"{path.name} lists no picture.")
    body_parts = tuple(sorted({record.body_part for record in records if record.body_part}))
    if not body_parts:
        raise DatasetError(
            f"{path.name} names no body part: write one into the column part, if all are alike."
        )
    return Dataset(name=path.stem, target="abnormality", body_parts=body_parts, records=records, about=ABOUT)


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
    if boxes and label == "0":
        raise DatasetError(f"Line {line} has boxes, but its picture is not abnormal.")
    return Record(
        id=name,
        path=folder / name,
        split=cast(Split, split),
        group=cast(str, row["group"]).strip(),
        abnormal=label == "1",
        body_part=(row["part"] or "").strip().lower() or None,
        study=(row.get("study") or "").strip() or None,
        boxes=boxes,
        flags=frozenset(word.strip() for word in (row.get("flags") or "").split("+")) - {""},
    )


def _boxes(text: str | None, line: int) -> tuple[Box, ...]:
    try:
        corners = json.loads(text or "[]")
        boxes = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in corners)
    except (ValueError, TypeError) as error:
        raise DatasetError(f"Line {line}: boxes must be a list of [xmin, ymin, xmax, ymax].") from error
    # Also what a box of corner, width and height looks like, more often than not.
    if not all(0 <= xmin < xmax and 0 <= ymin < ymax for xmin, ymin, xmax, ymax in boxes):
        raise DatasetError(f"Line {line}: a box must be [xmin, ymin, xmax, ymax], the smaller values first.")
    return boxes
