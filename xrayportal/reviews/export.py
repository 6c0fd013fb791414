"""The history as CSV: its columns, and where each of them comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from xrayportal.analyses.latest import first_file
from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.analyses.notes import joined, notes_of_views
from xrayportal.analyses.outcomes import outcome_code
from xrayportal.clinics.models import Clinic
from xrayportal.csv_export import csv_lines
from xrayportal.words import verdicts

#: Column of the file → field of the analysis, in the order of the file.
FIELDS = {
    "study": "study",
    "address": "study_id",
    "patient_reference": "study__patient_reference",
    "first_file": "first_file",
    "uploader": "study__submission__submitter__email",
    "sent_at": "study__created_at",
    "body_part": "body_part",
    "forced_body_part": "forced_body_part",
    "model_verdict": "verdict",
    "leaning": "leaning",
    "reason": "reason",
    "model_words": "bundle",
    "probability": "probability",
    "threshold_low": "threshold_low",
    "threshold_high": "threshold_high",
    "clinic_setting": "thresholds_by_clinic",
    "bundle": "bundle__name",
    "analysed_at": "finished_at",
    "review_status": "study__consensus__state",
    "readers_verdict": "study__consensus__verdict",
    "blind_verdict": "study__consensus__blind_verdict",
    "readers_body_part": "study__consensus__body_part",
    "readers": "study__consensus__readers",
    "changes_of_mind": "study__consensus__changes",
    "notes": "view_notes",
}


def history_lines(
    results: QuerySet[Analysis], *, clinic: Clinic, address_of: Callable[[UUID], str]
) -> Iterator[str]:
    """The lines of the export, newest study first; ``results`` are those of ``history.results_of``.

    ``address_of`` gives the address of a study's page.
    """
    return csv_lines(
        clinic=clinic.name,
        zone=ZoneInfo(clinic.time_zone),
        columns=FIELDS,
        rows=_rows(results.annotate(first_file=first_file("study_id")), address_of),
    )


def _rows(results: QuerySet[Analysis], address_of: Callable[[UUID], str]) -> Iterator[Iterable[object]]:
    manifests = dict(Bundle.objects.values_list("pk", "manifest"))
    noted = results.annotate(view_notes=notes_of_views("pk"))
    rows = noted.order_by("-study__created_at", "-study").values_list(*FIELDS.values())
    for values in rows.iterator(chunk_size=2000):
        row = dict(zip(FIELDS, values, strict=True))
        row["address"] = address_of(row["address"])
        outcome = outcome_code(row["model_verdict"], row["reason"], row["leaning"])
        row["model_words"] = verdicts.verdict_word(manifests[row["model_words"]], outcome)
        row["notes"] = joined(row["notes"])
        yield row.values()
