"""The CSV beside the files: patient reference, body part and priority.

A CSV counts for the folder that it lies in and for those below. A row names its file by the end of its path:
by its bare name, or with as many folders as it takes to tell it from others. ``rows.py`` decides which.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import PurePosixPath
from typing import Any

from django.utils.translation import gettext as _

from xrayportal.intake.filenames import LONGEST_REFERENCE, clean_filename, comparable_path
from xrayportal.intake.rejection import RejectedError

COLUMNS = ("file", "patient_reference", "body_part", "priority")
PRIORITIES = range(-10, 11)
MAX_MEGABYTES = 4
MAX_BYTES = MAX_MEGABYTES * 1024 * 1024
SUFFIX = ".csv"
#: Characters of a file's name; names that a submission may have labels for.
MAX_NAME = 1000
MAX_LABELS = 100_000
#: Rows as a submission keeps them: by name, one or more of label, CSV's key, name as written, line.
Kept = dict[str, list[list[Any]]]
#: Excel's line above the columns, which tells what stands between them.
_SEPARATOR = re.compile(r"\"?sep= *([^\w\s\"]|\t|\\t|) *\"?[\s,;]*", re.IGNORECASE)
#: What programs put round a text unseen: byte order marks, DOS's end of file.
_UNSEEN = "\ufeff\u200b\x1a"


@dataclass(frozen=True, slots=True)
class Label:
    """A CSV's row about one file; an empty value is not stated."""

    patient_reference: str = ""
    body_part: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A label with its origin: the key of the CSV's upload, the file's name as written there, its line."""

    label: Label
    csv: str = ""
    written: str = ""
    line: int = 0

    @property
    def shown(self) -> str:
        """The last part of the name, with the line where that alone may be another file's."""
        name = clean_filename(self.written)
        if "/" not in self.written.replace("\\", "/"):
            return name
        return _("%(name)s (line %(line)d)") % {"name": name, "line": self.line}


def merged(one: Label, other: Label) -> Label | None:
    """What both say together; None where they contradict each other."""
    facts = [
        (one.patient_reference, other.patient_reference),
        (one.body_part, other.body_part),
        (one.priority, other.priority),
    ]
    if any(first and second and first != second for first, second in facts):
        return None
    return Label(
        one.patient_reference or other.patient_reference,
        one.body_part or other.body_part,
        one.priority or other.priority,
    )


def is_labels(path: str) -> bool:
    """Whether a file of this name is taken for a CSV of labels."""
    return PurePosixPath(path).suffix.lower() == SUFFIX


def parse_labels(data: bytes, body_parts: Collection[str]) -> dict[str, Row]:
    """Parse a CSV into its rows by the file they name (`comparable_path`).

    ``body_parts`` may be stated, no others. UTF-8, UTF-16 and Windows-1252 are understood, and commas,
    semicolons or tabs between the columns, or what Excel's line ``sep=`` says. Raises ``RejectedError`` with
    the line's number.
    """
    if len(data) > MAX_BYTES:
        raise _unusable(_("the CSV is larger than %(limit)d MB") % {"limit": MAX_MEGABYTES}, _("Split it."))
    text = _decode(data)
    try:
        return _rows(_lines(text), body_parts)
    except csv.Error as error:
        raise _unusable(_("it is not a CSV")) from error


def as_json(rows: Mapping[str, Row], csv_path: str, csv_key: str) -> Kept:
    """Rows as the submission keeps them, by the paths they may name; the CSV's own path and upload key."""
    folder = comparable_path(csv_path).rpartition("/")[0]
    return {
        f"{folder}/{name}" if folder else name: [[list(astuple(row.label)), csv_key, row.written, row.line]]
        for name, row in rows.items()
    }


def from_json(kept: Kept) -> dict[str, list[Row]]:
    """The rows of all CSVs of a submission."""
    return {name: [Row(Label(*label), *origin) for label, *origin in rows] for name, rows in kept.items()}


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and cells of each line that says anything."""
    lines = text.strip(_UNSEEN).splitlines(keepends=True)
    skipped = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    first = lines[skipped].strip("\r\n") if skipped < len(lines) else ""
    separator = _SEPARATOR.fullmatch(first)
    if separator:
        skipped += 1
    stated = {"\\t": "\t"}.get(separator[1], separator[1]) if separator else ""
    columns = next((line for line in lines[skipped:] if line.strip()), "")
    delimiter = stated or max(",;\t", key=columns.count)
    reader = csv.reader(io.StringIO("".join(lines[skipped:]), newline=""), delimiter=delimiter)
    for row in reader:
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield reader.line_num + skipped, cells


def _rows(lines: Iterator[tuple[int, list[str]]], body_parts: Collection[str]) -> dict[str, Row]:
    header = [re.sub("[ -]", "_", name.lower()) for name in next(lines, (1, []))[1]]
    named = [name for name in header if name]  # a spreadsheet may add empty columns
    if "file" not in named or not set(named) <= set(COLUMNS) or len(set(named)) < len(named):
        raise _unusable(_("its first line does not name the columns"), _columns_wanted(named))
    rows: dict[str, Row] = {}
    for line, row in lines:
        cells = dict(zip(header, row, strict=False))
        unnamed = [cell for place, cell in enumerate(row) if not "".join(header[place : place + 1])]
        name = comparable_path(cells.get("file", ""))
        # A quotation mark that nothing closes makes one cell of all lines that follow.
        is_one_line = not re.search("[\r\n]", cells.get("file", ""))
        if any(unnamed) or not is_one_line or not 0 < len(cells.get("file", "")) <= MAX_NAME or not name:
            raise _unusable(_("line %(line)d does not fit the columns of the first line") % {"line": line})
        if len(rows) >= MAX_LABELS:
            raise too_many()
        label = Label(_reference(cells, line), _body_part(cells, body_parts, line), _priority(cells, line))
        rows[name] = _joined(rows.get(name), Row(label, written=cells["file"], line=line))
    return rows


def _columns_wanted(named: list[str]) -> str:
    """Which columns there are, and which is none of them: passed over, its references would be lost."""
    columns = ", ".join(COLUMNS)
    unknown = next((name for name in named if name not in COLUMNS), None)
    if "file" in named and unknown is not None:
        name = clean_filename(unknown)[:40]
        return _("They are %(columns)s; remove the column %(name)s.") % {"columns": columns, "name": name}
    return _("They are %(columns)s; only the first is required.") % {"columns": columns}


def _joined(earlier: Row | None, row: Row) -> Row:
    """Two rows about one file as one, unless they contradict each other."""
    if earlier is None:
        return row
    label = merged(earlier.label, row.label)
    if label is None:
        raise _unusable(
            _("line %(line)d says something else of %(file)s than line %(earlier)d")
            % {"line": row.line, "file": clean_filename(row.written), "earlier": earlier.line}
        )
    return Row(label, written=earlier.written, line=earlier.line)


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
