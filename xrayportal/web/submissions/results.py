"""The results of one submission to take away: a CSV, or a ZIP with the pictures and heatmaps beside it.

Both are made while they are sent, so their size costs no memory (one view at a time), and tell a person who
reads blind first nothing about studies that they have given no opinion on.
"""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, cast
from zoneinfo import ZoneInfo

from django.core.files.storage import default_storage
from django.db.models import Prefetch, QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from xrayportal import words
from xrayportal.access import ClinicAccess
from xrayportal.analyses.latest import RowFacts, with_status
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.reviews.blind import Revealed, with_revealed
from xrayportal.reviews.export import BOM, safe
from xrayportal.reviews.report import caption_of, render_plate
from xrayportal.studies.models import Study, Submission

COLUMNS = (
    "study",
    "patient_reference",
    "first_file",
    "sent_at",
    "state",
    "body_part",
    "body_part_stated",
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
_ROWS = 200


class ResultFacts(RowFacts, Revealed):
    """What a line of the results needs of its study."""


if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    ResultStudy = WithAnnotations[Study, ResultFacts]


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


def result_lines(access: ClinicAccess, submission: Submission) -> Iterator[str]:
    """The CSV, line by line: a notice, the columns, a line a study in the order they came.

    The language is kept from the request, because the lines are made after it.
    """
    language = translation.get_language()
    zone = ZoneInfo(access.clinic.time_zone)
    writer = csv.writer(_Line())
    with translation.override(language):
        yield BOM + writer.writerow([_("Research use only. Not a diagnosis."), *safe([access.clinic.name])])
        yield writer.writerow(COLUMNS)
        for study in _studies(access, submission).iterator(chunk_size=_ROWS):
            yield writer.writerow(safe(_cells(study, zone)))


def result_zip(access: ClinicAccess, submission: Submission) -> Iterator[bytes]:
    """The ZIP, piece by piece: ``results.csv``, and a folder a study: each view, plain and with its heatmap.

    ``contents.txt`` says what is what. A file that cannot be read (its study was deleted meanwhile) is named
    in ``missing.txt``. The language is kept from the request.
    """
    language = translation.get_language()
    pipe = _Pipe()
    missing: list[str] = []
    with translation.override(language), zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("contents.txt"), _contents())
        with archive.open("results.csv", "w") as out:
            for line in result_lines(access, submission):
                out.write(line.encode())
                yield pipe.take()
        for view in _views(access, submission):
            for name, content in view.files():
                if content is None:
                    missing.append(name)
                    continue
                # Without a time: the moment of an export would make each a different file.
                archive.writestr(zipfile.ZipInfo(name), content)
                yield pipe.take()
        if missing:
            archive.writestr(zipfile.ZipInfo("missing.txt"), "\n".join(missing) + "\n")
    yield pipe.take()


def _contents() -> str:
    """What lies in the archive, and what it is not."""
    lines = [
        _("Research use only. Not a diagnosis."),
        "",
        _("results.csv: one line per study."),
        _("view-1.jpg: the radiograph."),
        _("view-1-with-heatmap.pdf: the radiograph with its heatmap, its verdict and the model version."),
        _("view-1-heatmap.png: the heatmap alone, transparent, in the same frame as the radiograph."),
        _("missing.txt, if present: files that are missing from this archive."),
    ]
    return "\n".join(lines) + "\n"


def _studies(access: ClinicAccess, submission: Submission) -> QuerySet[ResultStudy]:
    """Those that this person may see, with what a line needs."""
    studies = with_revealed(access, with_status(access.studies().filter(submission=submission)))
    ordered = studies.select_related("current__bundle").order_by("created_at", "pk")
    return cast("QuerySet[ResultStudy]", ordered)


def _cells(study: ResultStudy, zone: ZoneInfo) -> list[str]:
    state = str(study.latest_state)
    known = [str(study.pk), study.patient_reference, str(study.name)]
    known += [_time(study.created_at, zone), state or "receiving"]
    result = study.current
    if result is None:
        return known
    if not study.revealed:
        return [*known, "", study.stated_body_part, "", _("Hidden until you give your verdict")]
    return [
        *known,
        result.body_part,
        study.stated_body_part,
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


@dataclass(frozen=True, slots=True)
class _View:
    """One view of a study: ``stem`` is the beginning of its names in the archive."""

    stem: str
    finding: Finding
    analysis: Analysis
    reference: str
    number: int
    views: int
    #: Whether this person may know the prediction.
    revealed: bool

    def files(self) -> Iterator[tuple[str, bytes | None]]:
        """Name and content of each file that may be shown; None for one that cannot be read."""
        display = _read(self.finding.display_file)
        yield f"{self.stem}.jpg", display
        if not (self.finding.overlay_file and self.revealed):
            return
        overlay = _read(self.finding.overlay_file)
        yield f"{self.stem}-heatmap.png", overlay
        caption = caption_of(
            self.finding, self.analysis, reference=self.reference, number=self.number, views=self.views
        )
        yield f"{self.stem}-with-heatmap.pdf", render_plate(display or b"", overlay or b"", caption)


def _views(access: ClinicAccess, submission: Submission) -> Iterator[_View]:
    """Every view that has a result, in the order of the CSV."""
    findings = Finding.objects.order_by("image__created_at", "image")
    studies = _studies(access, submission).prefetch_related(Prefetch("current__findings", findings))
    for place, study in enumerate(studies.iterator(chunk_size=_ROWS), start=1):
        if study.current is None:
            continue
        known_by = study.patient_reference or PurePath(study.name).stem
        name = re.sub(r"[^A-Za-z0-9.-]+", "_", known_by)[:40].strip(".") or study.pk
        views = list(study.current.findings.all())
        for number, finding in enumerate(views, start=1):
            yield _View(
                stem=f"{place:04}-{name}/view-{number}",
                finding=finding,
                analysis=study.current,
                reference=study.patient_reference,
                number=number,
                views=len(views),
                revealed=study.revealed,
            )


def _read(name: str) -> bytes | None:
    try:
        with default_storage.open(name, "rb") as file:
            return bytes(file.read())
    except OSError:
        return None


def _time(at: datetime | None, zone: ZoneInfo) -> str:
    return at.astimezone(zone).isoformat(timespec="seconds") if at else ""
