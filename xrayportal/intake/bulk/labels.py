"""The CSV beside the files: patient reference, body part and priority.

A CSV counts for the folder that it lies in and for those below. A row names its file by the end of its path:
by its bare name, or with as many folders as it takes to tell it from others.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from django.utils.translation import gettext as _

from xrayportal.intake.filenames import LONGEST_REFERENCE
from xrayportal.intake.rejection import RejectedError

COLUMNS = ("file", "patient_reference", "body_part", "priority")
PRIORITIES = range(-10, 11)
MAX_MEGABYTES = 4
MAX_BYTES = MAX_MEGABYTES * 1024 * 1024
SUFFIX = ".csv"
#: Characters of a file's name; names that a submission may have labels for.
MAX_NAME = 1000
MAX_LABELS = 100_000
#: Files in deeper folders can be named by their whole path only, which bounds the look-ups of each.
DEEPEST = 24


@dataclass(frozen=True, slots=True)
class Label:
    """A CSV's row about one file; an empty value is not stated."""

    patient_reference: str = ""
    body_part: str = ""
    priority: int = 0


def is_labels(path: str) -> bool:
    """Whether a file of this name is taken for a CSV of labels."""
    return PurePosixPath(path).suffix.lower() == SUFFIX


def parse_labels(data: bytes, body_parts: Collection[str]) -> dict[str, Label]:
    """Parse a CSV into its rows by the file they name (relative path or bare name, lower case).

    ``body_parts`` may be stated, no others. UTF-8, UTF-16 and Windows-1252 are understood, and commas,
    semicolons or tabs between the columns. Raises ``RejectedError`` with the line's number.
    """
    if len(data) > MAX_BYTES:
        raise _unusable(_("the CSV is larger than %(limit)d MB") % {"limit": MAX_MEGABYTES}, _("Split it."))
    rows = csv.reader(io.StringIO(_decode(data), newline=""), delimiter=_delimiter(data))
    try:
        return _labels(rows, body_parts)
    except csv.Error as error:
        raise _unusable(_("it is not a CSV")) from error


def label_for(path: str, labels: Mapping[str, Mapping[str, Any]]) -> Label:
    """Find the label of the file at relative ``path``; empty where no CSV names it."""
    row = next((labels[name] for name in _names(path.lower().split("/")) if name in labels), None)
    return Label(**row) if row else Label()


def as_json(labels: Mapping[str, Label], csv_path: str) -> dict[str, dict[str, Any]]:
    """Labels as the submission keeps them, by path; ``csv_path`` is the CSV's own relative path."""
    folder = csv_path.lower().rpartition("/")[0]
    return {f"{folder}/{name}" if folder else name: asdict(label) for name, label in labels.items()}


def _names(pieces: list[str]) -> Iterator[str]:
    """Yield the names that CSVs of the folders above may have for a file: longest first, then nearest CSV."""
    if len(pieces) > DEEPEST:
        yield "/".join(pieces)
        return
    for start in range(len(pieces)):
        for folder in reversed(range(len(pieces))):
            yield "/".join(pieces[:folder] + pieces[start:])


def _labels(rows: Any, body_parts: Collection[str]) -> dict[str, Label]:
    header = [name.strip().lower().replace(" ", "_") for name in next(rows, [])]
    if "file" not in header or not set(header) <= set(COLUMNS):
        raise _unusable(
            _("its first line does not name the columns"),
            _("They are %(columns)s; only the first is required.") % {"columns": ", ".join(COLUMNS)},
        )
    labels: dict[str, Label] = {}
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        cells = dict(zip(header, (cell.strip() for cell in row), strict=False))
        if len(row) > len(header) or not 0 < len(cells.get("file", "")) <= MAX_NAME:
            raise _unusable(
                _("line %(line)d does not fit the columns of the first line") % {"line": rows.line_num}
            )
        if len(labels) >= MAX_LABELS:
            raise too_many()
        name = cells["file"].replace("\\", "/").removeprefix("./").lower()
        labels[name] = Label(
            _reference(cells, rows.line_num),
            _body_part(cells, body_parts, rows.line_num),
            _priority(cells, rows.line_num),
        )
    return labels


def too_many() -> RejectedError:
    """The refusal of a CSV with which a submission would have labels for too many files."""
    return _unusable(
        _("it names more than %(limit)d files, with what was sent before") % {"limit": MAX_LABELS},
        _("Split the submission."),
    )


def _reference(cells: Mapping[str, str], line: int) -> str:
    reference = cells.get("patient_reference", "")
    if len(reference) > LONGEST_REFERENCE or not reference.isprintable():
        raise _unusable(
            _("the patient reference in line %(line)d is longer than %(limit)d characters or not plain text")
            % {"line": line, "limit": LONGEST_REFERENCE}
        )
    return reference


def _body_part(cells: Mapping[str, str], body_parts: Collection[str], line: int) -> str:
    body_part = cells.get("body_part", "").lower()
    if body_part and body_part not in body_parts:
        raise _unusable(
            _("the body part in line %(line)d is not known") % {"line": line},
            _("Known body parts: %(body_parts)s.") % {"body_parts": ", ".join(body_parts)},
        )
    return body_part


def _priority(cells: Mapping[str, str], line: int) -> int:
    text = cells.get("priority", "") or "0"
    try:
        priority = int(text)
    except ValueError:
        priority = PRIORITIES.stop
    if priority not in PRIORITIES:
        raise _unusable(
            _("the priority in line %(line)d is not a whole number from %(least)d to %(most)d")
            % {"line": line, "least": PRIORITIES[0], "most": PRIORITIES[-1]}
        )
    return priority


def _unusable(reason: str, advice: str = "") -> RejectedError:
    return RejectedError("labels", reason, advice or _("Correct it and send it again."))


def _decode(data: bytes) -> str:
    is_utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    encodings = ["utf-16"] if is_utf16 else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise _unusable(_("its text is in an encoding that is not known here"), _("Save it as UTF-8."))


def _delimiter(data: bytes) -> str:
    first = _decode(data).partition("\n")[0]
    return max(",;\t", key=first.count)
