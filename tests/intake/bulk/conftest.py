"""A clinic with an active bundle, and a submission to send archives and folders to."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest

from tests.factories import make_bundle, make_clinic, make_submission
from xrayportal.clinics.actors import PORTAL
from xrayportal.intake.bulk.delivery import take
from xrayportal.intake.filenames import comparable_path
from xrayportal.intake.ingest import IncomingFile
from xrayportal.studies.models import Submission, Upload

Take = Callable[..., list[Upload]]


@pytest.fixture
def submission(db: None) -> Submission:
    """Open, in a clinic with an active bundle."""
    make_bundle()
    return make_submission(make_clinic())


@pytest.fixture
def deliver(submission: Submission) -> Take:
    """Send bytes under a relative path, as the page does."""

    opened = submission

    def send(path: str, content: bytes, key: str = "", submission: Submission = opened) -> list[Upload]:
        name = key or comparable_path(path)[-60:]
        delivery = IncomingFile(submission=submission, key=name, path=path, actor=PORTAL)
        return take(delivery, io.BytesIO(content))

    return send


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive of these files, by path."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return out.getvalue()
