"""Studies with real files, for a worker."""

from __future__ import annotations

from typing import Any

from django.core.files.storage import default_storage

from tests.factories import make_image, make_study
from tests.live.pictures import pictures
from xrayportal.analyses.services import request_analysis
from xrayportal.studies.models import Study

BROKEN = b"\x89PNG\r\n\x1a\n and then nothing"


def study_of(*contents: bytes, **fields: Any) -> Study:
    """A sealed study with a view of each content, and its requested analysis."""
    study = make_study(views=0, **fields)
    for content in contents:
        make_image(study, content)
    request_analysis(study=study)
    return study


def content_of(name: str) -> bytes:
    """A stored file."""
    with default_storage.open(name) as file:
        content: bytes = file.read()
    return content


def picture(number: int = 0) -> bytes:
    """A drawing that the pipeline can decode; out of distribution."""
    return list(pictures(number + 1, {}))[number].getvalue()
