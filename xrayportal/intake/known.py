"""What of a file is here already, asked in the transaction that stores it; its SQL is made once a process."""

from __future__ import annotations

import uuid
from datetime import UTC
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Exists, QuerySet
from django.utils import timezone

from xrayportal.prepared import Prepared
from xrayportal.studies.models import Image, Study, Submission, Upload

#: What a file needs to know of its submission: not the labels of a CSV, which the sender's page has read.
_COLUMNS = [field.attname for field in Submission._meta.concrete_fields if field.name != "labels"]


class Known(NamedTuple):
    """Whether there is an upload with the file's key, an image with its content, a study with its group."""

    upload: bool
    image: bool
    study: bool


def lock_submission(pk: uuid.UUID) -> Submission:
    """Lock the submission and return it as it is now. Raises ``Submission.DoesNotExist``."""
    rows = _SUBMISSION.rows(submission=pk)
    if not rows:
        raise Submission.DoesNotExist(f"submission {pk}")
    return Submission.from_db(None, _COLUMNS, rows[0])


def known_of(*, submission: Submission, key: str, sha256: str, group: str) -> Known:
    """What of a file is here. The caller holds the submission, so no file with its key comes meanwhile."""
    ((upload, image, study),) = _KNOWN.rows(
        submission=submission.pk, clinic=submission.clinic_id, key=key, sha256=sha256, group=group
    )
    return Known(upload, image, study)


def note_file(submission: Submission, folder: str) -> None:
    """Note in the submission that a file came just now, and the folder of the first one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE studies_submission SET last_upload_at = %s, folder = %s WHERE id = %s",
            [timezone.now().astimezone(UTC), submission.folder or folder, submission.pk],
        )


def _locked(submission: uuid.UUID) -> QuerySet[Submission, tuple[Any, ...]]:
    return Submission.objects.select_for_update(no_key=True).filter(pk=submission).values_list(*_COLUMNS)


def _known(
    submission: uuid.UUID, clinic: uuid.UUID, key: str, sha256: str, group: str
) -> QuerySet[Submission, tuple[Any, ...]]:
    return Submission.objects.filter(pk=submission).values_list(
        Exists(Upload.objects.filter(submission=submission, key=key)),
        Exists(Image.objects.filter(clinic=clinic, sha256=sha256)),
        Exists(Study.objects.filter(clinic=clinic, grouping_key=group)),
    )


_SUBMISSION = Prepared(_locked, submission=uuid.uuid4())
_KNOWN = Prepared(
    _known,
    submission=uuid.uuid4(),
    clinic=uuid.uuid4(),
    key="a file's key",
    sha256="its content's hash",
    group="its study's group",
)
