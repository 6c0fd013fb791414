"""The results of one submission to take away: a CSV, or a ZIP with the pictures and heatmaps beside it.

Both are made while they are sent, so their size costs no memory, and tell a person who reads blind first
nothing about studies that they have given no opinion on.
"""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from django.core.files.storage import default_storage
from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from xrayportal.analyses.models import Finding
from xrayportal.clinics.access import Seat
from xrayportal.pages import words
from xrayportal.pages.worklist import with_status
from xrayportal.reviews.blind import with_revealed
from xrayportal.reviews.export import safe
from xrayportal.studies.models import Study, Submission

COLUMNS = (
    "study",
    "patient_reference",
    "first_file",
    "sent_at",
    "state",
    "body_part",
    "part_stated",
    "verdict",
    "verdict_words",
    "probability",
    "threshold_low",
    "threshold_high",
    "clinic_setting",
    "incomplete",
    "bundle",
    "analysed_at",
)
_CHUNK = 64 * 1024
_ROWS = 500


class _Line:
    """A file for the CSV writer that hands back what was written."""

    def write(self, text: str) -> str:
        """The line itself."""
        return text


class _Pipe:
    """A file that is written to and emptied in turn; it cannot seek, and ``zipfile`` needs it not to."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep until ``take``."""
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to close."""

    def take(self) -> bytes:
        """All since the last time."""
        taken, self._parts = b"".join(self._parts), []
        return taken


def result_lines(seat: Seat, submission: Submission) -> Iterator[str]:
    """The CSV, line by line: a notice, the columns, a line a study in the order they came.

    The language is kept from the request, because the lines are made after it.
    """
    language = translation.get_language()
    zone = ZoneInfo(seat.clinic.time_zone)
    writer = csv.writer(_Line())
    with translation.override(language):
        yield writer.writerow([_("Research use only. Not a diagnosis."), *safe([seat.clinic.name])])
        yield writer.writerow(COLUMNS)
        for study in _studies(seat, submission).iterator(chunk_size=_ROWS):
            yield writer.writerow(safe(_cells(study, zone)))


def result_zip(seat: Seat, submission: Submission) -> Iterator[bytes]:
    """The ZIP, piece by piece: ``results.csv``, and a folder a study with each view and its heatmap.

    A file that cannot be read (its study was deleted meanwhile) is named in ``missing.txt``.
    """
    pipe = _Pipe()
    missing: list[str] = []
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("results.csv", "w") as out:
            for line in result_lines(seat, submission):
                out.write(line.encode())
                yield pipe.take()
        for name, file in _pictures(seat, submission):
            try:
                source = default_storage.open(file, "rb")
            except OSError:
                missing.append(name)
                continue
            with source, archive.open(name, "w") as out:
                for chunk in source.chunks(_CHUNK):
                    out.write(chunk)
                    yield pipe.take()
        if missing:
            archive.writestr("missing.txt", "\n".join(missing) + "\n")
    yield pipe.take()


def _studies(seat: Seat, submission: Submission) -> QuerySet[Study]:
    """Those that this person may see, with what a line needs."""
    studies = with_revealed(seat, with_status(seat.studies().filter(submission=submission)))
    return studies.select_related("current__bundle").order_by("created_at", "pk")


def _cells(study: Study, zone: ZoneInfo) -> list[str]:
    state = str(study.latest_state)  # type: ignore[attr-defined]  # annotated by with_status
    known = [str(study.pk), study.patient_reference, str(study.name)]  # type: ignore[attr-defined]  # the same
    known += [_time(study.created_at, zone), state or "receiving"]
    result = study.current
    if result is None:
        return known
    if not study.revealed:  # type: ignore[attr-defined]  # annotated by with_revealed
        return [*known, "", study.stated_part, "", _("After your opinion")]
    return [
        *known,
        result.body_part,
        study.stated_part,
        result.verdict,
        words.verdict_word(result.bundle.manifest, result.verdict),
        "" if result.probability is None else f"{result.probability:.4f}",
        f"{result.threshold_low:.4f}",
        f"{result.threshold_high:.4f}",
        "yes" if result.thresholds_by_clinic else "no",
        "yes" if result.unreadable else "no",
        result.bundle.name,
        _time(result.finished_at, zone),
    ]


def _pictures(seat: Seat, submission: Submission) -> Iterator[tuple[str, str]]:
    """Name in the archive and in the storage of each picture, and of the heatmaps that may be shown."""
    place = 0
    for study in _studies(seat, submission).iterator(chunk_size=_ROWS):
        place += 1
        if study.current_id is None:
            continue
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", study.patient_reference)[:40].strip(".") or study.pk
        folder = f"{place:04}-{name}"
        findings = Finding.objects.filter(analysis=study.current_id).order_by("image__created_at", "image")
        for number, finding in enumerate(findings, start=1):
            yield f"{folder}/view-{number}.jpg", finding.display_file
            if finding.overlay_file and study.revealed:  # type: ignore[attr-defined]  # annotated by with_revealed
                yield f"{folder}/view-{number}-heatmap.png", finding.overlay_file


def _time(at: datetime | None, zone: ZoneInfo) -> str:
    return at.astimezone(zone).isoformat(timespec="seconds") if at else ""
