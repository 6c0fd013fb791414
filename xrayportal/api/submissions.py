"""Submissions: open, send files, finish, cancel, and look how far they are."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import File, Form, Header, Router, Status
from ninja.files import UploadedFile

from xrayportal.access import ClinicAccess
from xrayportal.api.authorization import READ, SUBMIT, ApiRequest
from xrayportal.api.paging import Paging, page_of
from xrayportal.api.problems import Problem
from xrayportal.api.schemas import submissions as schemas
from xrayportal.api.schemas.fields import PLAIN
from xrayportal.intake.bulk.delivery import take
from xrayportal.intake.filenames import clean_reference
from xrayportal.intake.ingest import IncomingFile, SubmissionClosedError
from xrayportal.intake.quotas import QuotaExceededError
from xrayportal.intake.services import (
    ClinicUndecidedError,
    cancel_submission,
    create_submission,
    finish_submission,
)
from xrayportal.studies.models import Image, Queue, Submission, Upload
from xrayportal.web.shared.failures import rejection_sentence
from xrayportal.web.submissions.forms import INTERACTIVE_FILES, LONGEST_KEY, LONGEST_PATH
from xrayportal.web.submissions.own import own_or_404
from xrayportal.worklist.progress import Progress, progress_of

router = Router(tags=["submissions"])

Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=LONGEST_KEY,
        pattern=r"^[!-~]+$",
        description="Made by the sender. The same key again is the same request: it gets the same answer.",
    ),
]
OptionalKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=LONGEST_KEY,
        pattern=r"^[!-~]*$",
        description="Made by the sender. The same key again opens no second submission.",
    ),
]


@router.post(
    "/submissions", auth=SUBMIT, response={200: schemas.SubmissionDetail, 201: schemas.SubmissionDetail}
)
def open_submission(
    request: ApiRequest, body: schemas.NewSubmission, response: HttpResponse, key: OptionalKey = ""
) -> Status[Any]:
    """Open a submission that files can be sent to. 200 where the key opened it before."""
    access = request.auth
    earlier = _own_of_key(access, key).first() if key else None
    if earlier is not None:
        return Status(200, _detail(access, earlier))
    ended = access.submissions().filter(submitter=access.user, state=Submission.State.FINISHED)
    few = body.expected_files <= INTERACTIVE_FILES
    try:
        with transaction.atomic():
            submission = create_submission(
                clinic=access.clinic,
                actor=access.actor,
                source=Submission.Source.API,
                queue=body.queue or (Queue.INTERACTIVE if few else Queue.BULK),
                expected_files=body.expected_files,
                grouping=body.grouping,
                continues=ended.filter(pk=body.continues).first() if body.continues else None,
                key=key,
            )
    except ClinicUndecidedError as error:
        raise Problem(409, str(error)) from None
    except IntegrityError:  # the same key came twice at once
        return Status(200, _detail(access, get_object_or_404(_own_of_key(access, key))))
    response.headers["Location"] = f"{request.path}/{submission.pk}"
    return Status(201, _detail(access, submission))


@router.get("/submissions", auth=READ, response=schemas.SubmissionPage)
def list_submissions(request: ApiRequest, page: Paging) -> schemas.SubmissionPage:
    """The submissions that this token may see, newest first."""
    rows, following = page_of(request.auth.submissions(), page)
    return schemas.SubmissionPage(items=[schemas.Submission(**_facts(row)) for row in rows], next=following)


@router.get("/submissions/{submission}", auth=READ, response=schemas.SubmissionDetail)
def get_submission(request: ApiRequest, submission: uuid.UUID) -> schemas.SubmissionDetail:
    """A submission with its progress. Ask with `If-None-Match` while you wait: 304 while nothing changed."""
    return _detail(request.auth, get_object_or_404(request.auth.submissions(), pk=submission))


@router.post(
    "/submissions/{submission}/uploads",
    auth=SUBMIT,
    response={200: schemas.NewUpload, 201: schemas.NewUpload},
)
def send_file(
    request: ApiRequest,
    submission: uuid.UUID,
    key: Key,
    file: File[UploadedFile],
    path: Annotated[
        str,
        Form(
            max_length=LONGEST_PATH,
            pattern=PLAIN,
            description="Relative. Files of one nested folder (`sent/knee/1.png`) are one study.",
        ),
    ] = "",
    patient_reference: Annotated[
        str,
        Form(max_length=64, pattern=PLAIN, description="One that identifies nobody by itself."),
    ] = "",
) -> Status[Any]:
    """Send one picture, DICOM file, ZIP archive or CSV. A rejected file is an outcome, not an error."""
    access = request.auth
    own = own_or_404(access, submission)
    earlier = own.uploads.filter(key=key).select_related("image").first()
    if earlier is not None:
        return Status(200, schemas.NewUpload(**dict(_uploads(access, [earlier])[0])))
    incoming = IncomingFile(
        submission=own,
        key=key,
        path=path or (file.name or "").replace("\0", "")[:LONGEST_PATH],
        patient_reference=_reference(patient_reference),
        actor=access.actor,
    )
    try:
        uploads = take(incoming, file)
    except SubmissionClosedError as error:
        raise Problem(409, str(error)) from None
    except QuotaExceededError as error:
        raise Problem(429, str(error), headers={"Retry-After": str(error.retry_after)}) from None
    first, *inside = _uploads(access, uploads)
    return Status(201, schemas.NewUpload(**dict(first), inside=inside))


@router.get("/submissions/{submission}/uploads", auth=READ, response=schemas.UploadPage)
def list_uploads(request: ApiRequest, submission: uuid.UUID, page: Paging) -> schemas.UploadPage:
    """The files of a submission, newest first, each with its outcome."""
    row = get_object_or_404(request.auth.submissions(), pk=submission)
    uploads, following = page_of(row.uploads.select_related("image"), page)
    return schemas.UploadPage(items=_uploads(request.auth, uploads), next=following)


@router.post("/submissions/{submission}/finish", auth=SUBMIT, response=schemas.SubmissionDetail)
def finish(request: ApiRequest, submission: uuid.UUID) -> schemas.SubmissionDetail:
    """Say that no more files come: studies of several views are analysed now. Again is harmless."""
    row = own_or_404(request.auth, submission, or_manage=True)
    finish_submission(submission=row, actor=request.auth.actor)
    return _detail(request.auth, row)


@router.post("/submissions/{submission}/cancel", auth=SUBMIT, response=schemas.SubmissionDetail)
def cancel(request: ApiRequest, submission: uuid.UUID) -> schemas.SubmissionDetail:
    """Take no more of its files and analyse no more of its studies; results that exist stay."""
    row = own_or_404(request.auth, submission, or_manage=True)
    cancel_submission(submission=row, actor=request.auth.actor)
    return _detail(request.auth, row)


def _own_of_key(access: ClinicAccess, key: str) -> QuerySet[Submission]:
    """The submission that this sender opened with the key: others may have made the same one."""
    return access.submissions().filter(submitter=access.user, key=key)


def _facts(row: Submission) -> dict[str, Any]:
    return {name: getattr(row, name) for name in schemas.Submission.model_fields}


def _detail(access: ClinicAccess, row: Submission) -> schemas.SubmissionDetail:
    progress: Progress = progress_of(row)
    return schemas.SubmissionDetail(
        **_facts(row),
        files=schemas.FileCounts(
            accepted=progress.accepted,
            duplicate=progress.duplicate,
            rejected=progress.rejected,
            applied=progress.applied,
        ),
        studies=schemas.StudyCounts(
            total=progress.studies,
            succeeded=progress.done,
            failed=progress.failed,
            cancelled=progress.cancelled,
        ),
        is_final=progress.is_final,
        position=progress.position,
    )


def _uploads(access: ClinicAccess, rows: Sequence[Upload]) -> list[schemas.Upload]:
    """The files with their studies, as far as this token may see those; one query for all."""
    studies = {row.image.study_id for row in rows if row.image}
    visible = set(access.studies().filter(pk__in=studies).values_list("pk", flat=True)) if studies else set()
    return [_upload(row, row.image if row.image and row.image.study_id in visible else None) for row in rows]


def _upload(row: Upload, image: Image | None) -> schemas.Upload:
    return schemas.Upload(
        id=row.pk,
        key=row.key,
        filename=row.filename,
        size=row.size,
        outcome=row.outcome,
        kind=row.kind,
        sentence=rejection_sentence(row),
        image=image.pk if image else None,
        study=image.study_id if image else None,
        created_at=row.created_at,
    )


def _reference(text: str) -> str:
    try:
        return clean_reference(text)
    except ValidationError as error:
        raise Problem(422, " ".join(error.messages)) from None
