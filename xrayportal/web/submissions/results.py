"""The results of one submission to take away: a CSV, or a ZIP that holds the pictures and heatmaps, too.

Both are made while they are sent, so that they hold one view at a time in memory. A person who reads blind
first finds no prediction in them of studies that they have given no opinion on.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from django.core.files.storage import default_storage
from django.db.models import Prefetch, QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from xrayportal.access import ClinicAccess
from xrayportal.analyses.latest import RowFacts, with_status
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.analyses.notes import joined, notes_of_views
from xrayportal.analyses.outcomes import outcome_of
from xrayportal.csv_export import csv_lines
from xrayportal.reviews.blind import Revealed, with_revealed
from xrayportal.reviews.report.plate import caption_of, render_plate
from xrayportal.studies.models import Study, Submission, Upload
from xrayportal.words import verdicts

COLUMNS = (
    "study",
    "address",
    "patient_reference",
    "first_file",
    "uploader",
    "sent_at",
    "state",
    "body_part",
    "body_part_stated",
    "verdict",
    "leaning",
    "reason",
    "verdict_words",
    "probability",
    "threshold_low",
    "threshold_high",
    "clinic_setting",
    "incomplete",
    "bundle",
    "analysed_at",
    "notes",
)
_ROWS = 200
_LONGEST_NAME = 40


class ResultFacts(RowFacts, Revealed):
    """What a line of the results needs of its study."""

    notes: list[list[str]]


if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    ResultStudy = WithAnnotations[Study, ResultFacts]


class _Pipe:
    """A file that is written to and emptied in turn; ``zipfile`` does not need it to seek."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep the data until ``take``."""
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to close."""

    def take(self) -> bytes:
        """The data written since the last call."""
        taken, self._parts = b"".join(self._parts), []
        return taken


def result_lines(
    access: ClinicAccess, submission: Submission, address_of: Callable[[UUID], str]
) -> Iterator[str]:
    """The lines of the CSV, a study a line in the order in which they came.

    ``address_of`` gives the address of a study's page.
    """
    studies = _studies(access, submission).iterator(chunk_size=_ROWS)
    return csv_lines(
        clinic=access.clinic.name,
        zone=ZoneInfo(access.clinic.time_zone),
        columns=COLUMNS,
        rows=(_cells(study, address_of(study.pk)) for study in studies),
    )


def result_zip(
    access: ClinicAccess, submission: Submission, address_of: Callable[[UUID], str]
) -> Iterator[bytes]:
    """The pieces of the ZIP: ``results.csv``, and for each study a folder with its views and their heatmaps.

    ``contents.txt`` explains the files. A file that cannot be read (its study was deleted meanwhile) is named
    in ``missing.txt``.
    """
    language = translation.get_language()
    pipe = _Pipe()
    missing: list[str] = []
    with translation.override(language), zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("contents.txt"), _contents())
        with archive.open("results.csv", "w") as out:
            for line in result_lines(access, submission, address_of):
                out.write(line.encode())
                yield pipe.take()
        for view in _views(access, submission):
            for name, content in view.files():
                if content is None:
                    missing.append(name)
                    continue
                # Without a time, so that the same file is the same in every export.
                archive.writestr(zipfile.ZipInfo(name), content)
                yield pipe.take()
        if missing:
            archive.writestr(zipfile.ZipInfo("missing.txt"), "\n".join(missing) + "\n")
    yield pipe.take()


def _contents() -> str:
    """The text of ``contents.txt``."""
    lines = [
        _("Research use only. Not a diagnosis."),
        "",
        _("results.csv: one line per study."),
        _("Each study has a folder of its own; its files have the names under which they were sent."),
        _("….jpg: the radiograph."),
        _("…-with-heatmap.pdf: the radiograph with its heatmap, its verdict and the model version."),
        _("…-heatmap.png: the heatmap alone, transparent, in the same frame as the radiograph."),
        _("missing.txt, if present: files that are missing from this archive."),
    ]
    return "\n".join(lines) + "\n"


def _studies(access: ClinicAccess, submission: Submission) -> QuerySet[ResultStudy]:
    """The submission's studies that this person may see, with the facts of a line."""
    studies = with_revealed(access, with_status(access.studies().filter(submission=submission)))
    noted = studies.annotate(notes=notes_of_views("current"))
    ordered = noted.select_related("current__bundle", "submission__submitter").order_by("created_at", "pk")
    return cast("QuerySet[ResultStudy]", ordered)


def _cells(study: ResultStudy, address: str) -> list[object]:
    """The values of a line in the order of ``COLUMNS``, without those of a prediction that is kept back."""
    sender = study.submission.submitter
    sent: list[object] = [study.pk, address, study.patient_reference, study.name]
    sent += [sender.email if sender else "", study.created_at]
    sent.append(study.latest_state or "receiving")
    result = study.current
    if result is None:
        return sent
    if not study.revealed:
        return [*sent, "", study.stated_body_part, "", "", "", _("Hidden until you give your verdict")]
    return [
        *sent,
        result.body_part,
        study.stated_body_part,
        result.verdict,
        result.leaning,
        result.reason,
        verdicts.verdict_word(result.bundle.manifest, outcome_of(result)),
        result.probability,
        result.threshold_low,
        result.threshold_high,
        result.thresholds_by_clinic,
        bool(result.unreadable),
        result.bundle.name,
        result.finished_at,
        joined(study.notes),
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
    uploads = Upload.objects.order_by("created_at", "pk")
    findings = Finding.objects.order_by("image__created_at", "image").select_related("image")
    findings = findings.prefetch_related(Prefetch("image__uploads", uploads))
    studies = _studies(access, submission).prefetch_related(Prefetch("current__findings", findings))
    for place, study in enumerate(studies.iterator(chunk_size=_ROWS), start=1):
        if study.current is None:
            continue
        name = _readable(study.patient_reference or PurePath(study.name).stem) or str(study.pk)
        views = list(study.current.findings.all())
        for number, finding in enumerate(views, start=1):
            yield _View(
                stem=f"{place:04}-{name}/{number}-{_file_stem(finding)}",
                finding=finding,
                analysis=study.current,
                reference=study.patient_reference,
                number=number,
                views=len(views),
                revealed=study.revealed,
            )


def _file_stem(finding: Finding) -> str:
    """The name under which the view was sent, without its suffix, else its view position."""
    upload = next(iter(finding.image.uploads.all()), None)
    sent = _readable(PurePath(upload.filename).stem) if upload else ""
    return sent or _readable(finding.image.view_position) or "view"


def _readable(text: str) -> str:
    """The text as a part of a file's name on any system, letters of every script kept."""
    return re.sub(r"[^\w.-]+", "_", text)[:_LONGEST_NAME].strip("._")


def _read(name: str) -> bytes | None:
    try:
        with default_storage.open(name, "rb") as file:
            return bytes(file.read())
    except OSError:
        return None
