"""Studies that came by DICOM and have a result."""

from __future__ import annotations

import json
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from tests.factories import dicom, make_analysis, make_bundle
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic
from xrayportal.dicom.receive import receive
from xrayportal.studies.models import Queue, Study

PACS = Actor(name="DICOM PACS", address="127.0.0.1")
#: A region in the upper left of the picture.
MAP = {"height": 4, "width": 3, "scale": 4.0, "values": [0, 3, 0, 0, 1, 0, -1, 0, 0, 0, 0, 0]}


def received(clinic: Clinic, *files: bytes) -> Study:
    """The study of files that a sender sent."""
    for data in files:
        upload = receive(clinic=clinic, sender="PACS", queue=Queue.INTERACTIVE, actor=PACS, data=data)
        assert upload.image is not None, upload.sentence
    return upload.image.study


def returned_study(clinic: Clinic, *, verdict: str = "abnormal", views: int = 1, **attributes: Any) -> Study:
    """A complete study that came by DICOM, analysed."""
    study = received(clinic, *(dicom(shade=900 + number, **attributes) for number in range(views)))
    return analysed(study, verdict=verdict)


def analysed(study: Study, *, verdict: str = "abnormal") -> Study:
    """The study, complete and with a result whose map has a region."""
    make_bundle()
    study.state, study.sealed_at = Study.State.SEALED, timezone.now()
    study.save(update_fields=["state", "sealed_at"])
    fields = {"verdict": verdict} | ({"probability": None} if verdict == "unsupported" else {})
    analysis = make_analysis(study, **fields)
    for finding in analysis.findings.exclude(map_file=""):
        default_storage.delete(finding.map_file)
        default_storage.save(finding.map_file, ContentFile(json.dumps(MAP).encode()))
    return study
