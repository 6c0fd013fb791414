"""One received DICOM object: through the same intake as an upload, and answered only once it is committed."""

from __future__ import annotations

import hashlib
import hmac
import io
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic
from xrayportal.dicom.identifiers import identifiers_in, keep, return_settings
from xrayportal.intake.ingest import IncomingFile, SubmissionClosedError, ingest_file
from xrayportal.intake.services import create_submission
from xrayportal.studies.locks import name_lock
from xrayportal.studies.models import Submission, Upload

#: What one sender sends goes into one submission for so long, then into the next.
SUBMISSION_LASTS = timedelta(hours=1)


def receive(*, clinic: Clinic, sender: str, queue: str, actor: Actor, data: bytes) -> Upload:
    """Store one DICOM file that a system sent; a file that is not taken is an outcome, not an exception.

    ``sender`` names the system. Sending the same file again is harmless: it is stored once. When this
    returns, everything is committed. Raises OSError (or the object store's or the database's own error)
    where it could not be stored; then nothing of it is.
    """
    settings = return_settings(clinic)
    identifiers = b"" if settings.when == settings.When.NEVER else identifiers_in(data)
    # Two files differ where one bit does, whatever they call themselves; nobody can compute it from the file.
    key = hmac.digest(bytes(clinic.pseudonym_key), hashlib.sha256(data).digest(), "sha256").hex()
    while True:
        submission = _open_submission(clinic, sender, queue, actor)
        submission.clinic = clinic
        incoming = IncomingFile(
            submission=submission,
            key=key,
            path=f"{key[:12]}.dcm",
            actor=actor,
            also_store=lambda image: keep(image, identifiers, settings),
        )
        try:
            return ingest_file(incoming, io.BytesIO(data))
        except SubmissionClosedError:  # by a person, or for its silence, this very moment
            continue


def _open_submission(clinic: Clinic, sender: str, queue: str, actor: Actor) -> Submission:
    """The open submission that this sender's files go into now, or a new one."""
    young = Submission.objects.open().filter(
        clinic=clinic,
        source=Submission.Source.DICOM,
        submitter=actor.user,
        sender=sender,
        queue=queue,
        created_at__gt=timezone.now() - SUBMISSION_LASTS,
    )
    newest = young.order_by("-created_at")
    submission = newest.first()
    if submission is not None:
        return submission
    with name_lock(f"dicom submission {clinic.pk} {sender}"), transaction.atomic():
        return newest.first() or create_submission(
            clinic=clinic,
            actor=actor,
            source=Submission.Source.DICOM,
            sender=sender,
            queue=queue,
            expected_files=0,
        )
