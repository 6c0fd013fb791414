"""The history as CSV: streamed row by row, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from xrayportal import words
from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.clinics.models import Clinic

#: Column and where it comes from, in the order of the file.
FIELDS = {
    "study": "study",
    "patient_reference": "study__patient_reference",
    "sent_at": "study__created_at",
    "body_part": "body_part",
    "forced_body_part": "forced_body_part",
    "model_verdict": "verdict",
    "model_words": "bundle",
    "probability": "probability",
    "threshold_low": "threshold_low",
    "threshold_high": "threshold_high",
    "clinic_setting": "thresholds_by_clinic",
    "bundle": "bundle__name",
    "analysed_at": "finished_at",
    "standing": "study__consensus__state",
    "readers_verdict": "study__consensus__verdict",
    "blind_verdict": "study__consensus__blind_verdict",
    "readers_body_part": "study__consensus__body_part",
    "readers": "study__consensus__readers",
    "changes_of_mind": "study__consensus__changes",
}
#: Before the first line: without it Excel does not take a CSV for UTF-8.
BOM = "\ufeff"
#: What a spreadsheet takes for the beginning of a formula; some take the wide forms of East Asian type too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Line:
    """A file for the CSV writer that hands back what was written."""

    def write(self, text: str) -> str:
        """The line itself."""
        return text


def history_lines(results: QuerySet[Analysis], *, clinic: Clinic) -> Iterator[str]:
    """The export, one line after another; ``results`` are of ``history.results_of``.

    The first line says that this is for research use only, the second names the columns. The language is
    kept from the request, because the lines are made after it.
    """
    language = translation.get_language()
    rows = results.order_by("-study__created_at", "-study").values_list(*FIELDS.values())
    zone = ZoneInfo(clinic.time_zone)
    manifests = dict(Bundle.objects.values_list("pk", "manifest"))
    writer = csv.writer(_Line())
    with translation.override(language):
        yield BOM + writer.writerow(safe([_("Research use only. Not a diagnosis."), clinic.name]))
        yield writer.writerow(FIELDS)
        for values in rows.iterator(chunk_size=2000):
            row = dict(zip(FIELDS, values, strict=True))
            row["model_words"] = words.verdict_word(manifests[row["model_words"]], row["model_verdict"])
            yield writer.writerow(safe(_text(cell, zone) for cell in row.values()))


def safe(texts: Iterable[str]) -> list[str]:
    """The cells, with an apostrophe in front of one that a spreadsheet would run as a formula."""
    return [f"'{text}" if _begins_like_a_formula(text) else text for text in texts]


def _begins_like_a_formula(text: str) -> bool:
    return unicodedata.normalize("NFKC", text.lstrip(" ")[:1]).startswith(_FORMULA)


def _text(cell: object, zone: ZoneInfo) -> str:
    """Times in the clinic's zone, probabilities to four digits, nothing for nothing."""
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case float():
            return f"{cell:.4f}"
        case datetime():
            return cell.astimezone(zone).isoformat(timespec="seconds")
        case _:
            return str(cell)
