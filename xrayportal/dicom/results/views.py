"""A result as its objects need it: every view with its finding and the header of the original image."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

from django.core.files.storage import default_storage
from django.utils import timezone
from pydicom import Dataset, dcmread

from xrayportal.analyses.models import Analysis, Finding, Leaning, Verdict
from xrayportal.analyses.outcomes import outcome_of
from xrayportal.dicom.identifiers import identifiers_of

MANUFACTURER, MODEL = "X-Ray Portal", "X-Ray Portal"
#: In every object, for whoever looks at it without knowing this software.
NOTICE = "Research use only. Not a diagnosis."


#: Outcomes whose hot regions are marked.
_MARKED = frozenset({Verdict.ABNORMAL, Verdict.UNCERTAIN, Leaning.TOWARDS_ABNORMAL})


class NoIdentifiersError(Exception):
    """No image of the study has identifiers (any more) to file an answer by."""


@dataclass(frozen=True)
class View:
    """One view of a result.

    ``original`` is the header of the image as its archive knows it, without pixels and names: the stored
    attributes with the original identifiers. ``identifiers`` are all of these.
    """

    number: int
    finding: Finding
    original: Dataset
    identifiers: Dataset

    @property
    def marked_map(self) -> dict[str, Any] | None:
        """The signed evidence map as stored (`height`, `width`, `scale`, `values`), where regions are marked.

        None for a view whose map says nothing, and for one that the model takes for normal: a mark on it
        would point at what is not there.
        """
        if outcome_of(self.finding) not in _MARKED or not self.finding.has_heatmap:
            return None
        with default_storage.open(self.finding.map_file, "rb") as file:
            content: dict[str, Any] = json.load(file)
        return content


@dataclass(frozen=True)
class Result:
    """A study's result for its archive; ``signed_verdict`` is the readers' where they have signed."""

    analysis: Analysis
    views: list[View]
    signed_verdict: str

    @property
    def made_at(self) -> datetime:
        """When it was made, in the clinic's time zone."""
        at = self.analysis.finished_at or self.analysis.requested_at
        return timezone.localtime(at, ZoneInfo(self.analysis.clinic.time_zone))

    def uid(self, *parts: object) -> str:
        """A UID that is the same whenever the same object is made again: sending it twice stores it once."""
        text = "\x00".join(map(str, (self.analysis.pk, self.signed_verdict, *parts)))
        return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"


def result_of(analysis: Analysis, signed_verdict: str) -> Result:
    """Gather a succeeded analysis with the identifiers of its images.

    Raises `NoIdentifiersError` where none are kept, `DecryptionError` where they cannot be opened, OSError
    where a file cannot be read.
    """
    findings = Finding.objects.filter(analysis=analysis).select_related("image__clinic")
    views = []
    for number, finding in enumerate(findings.order_by("image__created_at", "image"), start=1):
        identifiers = identifiers_of(finding.image)
        if identifiers is None:  # a view that a person uploaded, say: the archive does not know it
            continue
        views.append(View(number, finding, _original(finding.image.file, identifiers), identifiers))
    if not views:
        raise NoIdentifiersError
    return Result(analysis, views, signed_verdict)


def _original(file: str, identifiers: Dataset) -> Dataset:
    with default_storage.open(file, "rb") as stored:
        header = dcmread(BytesIO(stored.read()), stop_before_pixels=True)
    for keyword in ("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"):
        if keyword in header:
            delattr(header, keyword)
    for element in identifiers:
        if element.VR != "PN":  # highdicom quotes unusual names in warnings; they are added at the end
            header.add(element)
    # Every study and patient module has these, if only empty.
    for keyword in (
        *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
        *("StudyID", "AccessionNumber", "ReferringPhysicianName", "PatientOrientation"),
    ):
        if keyword not in header:
            setattr(header, keyword, "")
    return header
