"""What operations take and tell of submissions and their files."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated

from ninja import Schema
from pydantic import Field

from xrayportal.api.schemas.fields import WHOLE, Input, one_of
from xrayportal.studies import models as studies
from xrayportal.studies.models import Grouping, Queue
from xrayportal.web.submissions.forms import INTERACTIVE_FILES, MOST_FILES


class NewSubmission(Input):
    """A submission to open."""

    expected_files: Annotated[
        int, Field(ge=0, le=MOST_FILES, description="How many files will come."), WHOLE
    ] = 0
    grouping: Annotated[
        Grouping, Field(description="Which files are views of one study; DICOM goes by its study UID.")
    ] = Grouping.FOLDERS
    queue: Annotated[
        Queue | None,
        Field(
            description="`bulk` waits behind interactive work; "
            f"by itself, bulk from {INTERACTIVE_FILES + 1} files on."
        ),
    ] = None
    continues: Annotated[
        uuid.UUID | None,
        Field(description="One's own finished submission: files of its folders join the same studies."),
    ] = None


class Submission(Schema):
    """Files that were sent in one go."""

    id: uuid.UUID
    state: Annotated[str, one_of(studies.Submission.State)]
    source: str
    grouping: Grouping
    queue: Queue
    expected_files: int
    created_at: datetime
    finished_at: datetime | None


class FileCounts(Schema):
    """Files by outcome."""

    accepted: int
    duplicate: int
    rejected: int
    applied: int


class StudyCounts(Schema):
    """Studies by the state of their newest analysis; the others wait or run."""

    total: int
    succeeded: int
    failed: int
    cancelled: int


class SubmissionDetail(Submission):
    """A submission with its progress."""

    files: FileCounts
    studies: StudyCounts
    is_final: Annotated[bool, Field(description="Nothing of it changes by itself any more.")]
    position: Annotated[int, Field(description="Place of its last waiting study in the queue; 0 for none.")]


class SubmissionPage(Schema):
    """A page of submissions, newest first."""

    items: list[Submission]
    next: str | None


class Upload(Schema):
    """One file of a submission and its outcome."""

    id: uuid.UUID
    key: str
    filename: str
    size: int
    outcome: Annotated[str, one_of(studies.Upload.Outcome)]
    kind: Annotated[str, Field(description="Why it was rejected, as a code; empty otherwise.")]
    sentence: Annotated[
        str, Field(description="The same for people, or what was done with an archive or CSV.")
    ]
    image: uuid.UUID | None
    study: uuid.UUID | None
    created_at: datetime


class NewUpload(Upload):
    """The file that was sent, with those that were inside it if it is an archive."""

    inside: list[Upload] = []


class UploadPage(Schema):
    """A page of files, newest first."""

    items: list[Upload]
    next: str | None
