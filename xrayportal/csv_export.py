"""CSV files to take away: written while they are sent, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils import translation
from django.utils.translation import gettext as _

#: Before the first line: without it Excel does not take a file for UTF-8.
BOM = "\ufeff"
#: What a spreadsheet takes for the beginning of a formula; some take the wide forms of East Asian type too.
_FORMULA = ("=", "+", "-", "@")
#: Where a spreadsheet may begin another cell inside of ours: where decimals have commas it divides lines at
#: ``;``. A comma is safe: a cell with one is quoted.
_BORDER = re.compile(r"([;|\t\r\n])")


class _Echo:
    """A file for the CSV writer that returns each line instead of keeping it."""

    def write(self, text: str) -> str:
        return text


def csv_lines(
    *, clinic: str, zone: ZoneInfo, columns: Iterable[str], rows: Iterable[Iterable[object]]
) -> Iterator[str]:
    """The lines of a file: a notice with the clinic's name, the names of the columns, then the rows.

    The notice says that the file is for research use only. A row's values become text: moments as ISO 8601
    in ``zone``, floats with four decimals, truth as yes or no, None as nothing. The lines are made after the
    view has returned, in the language that was active when this was called.
    """
    return _lines(translation.get_language(), clinic, zone, columns, rows)


def _lines(
    language: str | None,
    clinic: str,
    zone: ZoneInfo,
    columns: Iterable[str],
    rows: Iterable[Iterable[object]],
) -> Iterator[str]:
    writer = csv.writer(_Echo())
    with translation.override(language):
        yield BOM + writer.writerow([_("Research use only. Not a diagnosis."), without_formula(clinic)])
        yield writer.writerow(columns)
        for row in rows:
            yield writer.writerow([without_formula(_text(value, zone)) for value in row])


def without_formula(cell: str) -> str:
    """The cell, with an apostrophe wherever a spreadsheet could take what follows for a formula.

    That is at its beginning, and after each sign at which a spreadsheet may begin another cell.
    """
    return "".join(f"'{piece}" if _is_formula(piece) else piece for piece in _BORDER.split(cell))


def _is_formula(piece: str) -> bool:
    return unicodedata.normalize("NFKC", piece.lstrip(' "')[:1]).startswith(_FORMULA)


def _text(value: object, zone: ZoneInfo) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4f}"
        case datetime():
            return value.astimezone(zone).isoformat(timespec="seconds")
        case _:
            return str(value)
