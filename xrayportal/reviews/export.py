"""The history as CSV: streamed row by row, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from xrayportal.analyses.models import Analysis
from xrayportal.clinics.models import Clinic
from xrayportal.pages import words
from xrayportal.reviews.models import Reading

COLUMNS = (
    "study",
    "patient_reference",
    "sent_at",
    "body_part",
    "model_verdict",
    "model_words",
    "probability",
    "threshold_low",
    "threshold_high",
    "clinic_setting",
    "bundle",
    "analysed_at",
    "standing",
    "readers_verdict",
    "blind_verdict",
    "readers_body_part",
    "readers",
    "changes_of_mind",
)
#: What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


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
    rows = results.select_related("bundle", "study__reading").order_by("-study__created_at", "-study")
    zone = ZoneInfo(clinic.time_zone)
    writer = csv.writer(_Line())
    with translation.override(language):
        yield writer.writerow([_("Research use only. Not a diagnosis."), clinic.name])
        yield writer.writerow(COLUMNS)
        for result in rows.iterator(chunk_size=2000):
            yield writer.writerow(safe(_cells(result, zone)))


def safe(cells: Iterable[object]) -> list[str]:
    """The cells as text; one that a spreadsheet would run as a formula gets an apostrophe in front."""
    texts = ["" if cell is None else str(cell) for cell in cells]
    return [f"'{text}" if text.startswith(_FORMULA) else text for text in texts]


def _cells(analysis: Analysis, zone: ZoneInfo) -> list[object]:
    study = analysis.study
    reading: Reading | None = getattr(study, "reading", None)
    return [
        study.pk,
        study.patient_reference,
        study.created_at.astimezone(zone).isoformat(timespec="seconds"),
        analysis.forced_part or analysis.body_part,
        analysis.verdict,
        words.verdict_word(analysis.bundle.manifest, analysis.verdict),
        "" if analysis.probability is None else f"{analysis.probability:.4f}",
        f"{analysis.threshold_low:.4f}",
        f"{analysis.threshold_high:.4f}",
        "yes" if analysis.thresholds_by_clinic else "no",
        analysis.bundle.name,
        analysis.finished_at.astimezone(zone).isoformat(timespec="seconds") if analysis.finished_at else "",
        reading.state if reading else "",
        reading.verdict if reading else "",
        reading.blind_verdict if reading else "",
        reading.body_part if reading else "",
        reading.readers if reading else 0,
        reading.changes if reading else 0,
    ]
