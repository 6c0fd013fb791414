"""What is sent and fetched: submissions, uploads, stored files. The pages are in ``pages``."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.http.response import HttpResponseNotModified
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from xrayportal.access import Permit, Seat, clinic_view
from xrayportal.analyses.models import Finding
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.intake.bulk.services import Delivery, take, take_refusal
from xrayportal.intake.filenames import clean_reference
from xrayportal.intake.ingest import SubmissionClosedError
from xrayportal.intake.services import cancel_submission, create_submission, finish_submission
from xrayportal.intake.sniff import SUFFIXES
from xrayportal.pages.failures import rejection_sentence
from xrayportal.reviews.blind import reveals
from xrayportal.security import client_address, wants_json
from xrayportal.studies import pages
from xrayportal.studies.models import Grouping, Queue, Submission, Upload

logger = logging.getLogger(__name__)

#: More files than that in one submission are bulk work and wait behind interactive work.
INTERACTIVE_FILES = 20
MOST_FILES = 100_000
LONGEST_PATH = 1000
#: What the database can hold: a browser that refused a file says how large it was.
LARGEST_SIZE = 2**63 - 1
#: Files of a finding: the model's field and the media type.
_FINDING_FILES = {
    "display": ("display_file", "image/jpeg"),
    "thumbnail": ("thumbnail_file", "image/jpeg"),
    "overlay": ("overlay_file", "image/png"),
    "map": ("map_file", "application/json"),
}
#: Those that show the prediction, which is kept from a reader who reads blind first.
_TELLING = frozenset({"overlay", "map"})


@require_http_methods(["GET", "HEAD", "POST"])
def submissions(request: HttpRequest, clinic: str) -> HttpResponseBase:
    """The list, or a new submission."""
    if request.method == "POST":
        return _new_submission(request, clinic=clinic)
    return pages.submissions_page(request, clinic=clinic)


@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest, clinic: str) -> HttpResponseBase:
    """The page, or all files at once from a browser without JavaScript."""
    if request.method == "POST":
        return _plain_form(request, clinic=clinic)
    return pages.upload_page(request, clinic=clinic)


@clinic_view(Permit.SUBMIT)
def _new_submission(request: HttpRequest, seat: Seat) -> HttpResponse:
    try:
        expected = int(request.POST.get("expected_files", "0"))
    except ValueError:
        expected = -1
    if not 0 <= expected <= MOST_FILES:
        return _refused(_("Say how many files will come: a number up to 100,000."))
    submission = _create(request, seat, expected)
    return JsonResponse(
        {
            "id": str(submission.pk),
            "uploads": _address("submission-uploads", submission),
            "finish": _address("submission-finish", submission),
            "cancel": _address("submission-cancel", submission),
            "page": _address("submission", submission),
        },
        status=201,
    )


@clinic_view(Permit.SUBMIT)
def _plain_form(request: HttpRequest, seat: Seat) -> HttpResponse:
    # Tables first: what they say holds for the pictures.
    files = sorted(
        request.FILES.getlist("files"), key=lambda file: not (file.name or "").lower().endswith(".csv")
    )
    if not files:
        return redirect("upload", clinic=seat.clinic.slug)
    submission = _create(request, seat, len(files))
    for number, file in enumerate(files):
        take(_delivery(request, seat, submission, key=f"form-{number}", file=file), file)
    finish_submission(submission=submission, actor=seat.user, address=client_address(request))
    return redirect("submission", clinic=seat.clinic.slug, submission=submission.pk)


@require_POST
@clinic_view(Permit.SUBMIT)
def submission_uploads(request: HttpRequest, seat: Seat, submission: uuid.UUID) -> HttpResponse:
    """One file. Its outcome, good or bad, is a 201; the same key again is a 200 with the same answer.

    ``path`` is the file's relative path where a folder was sent, for grouping.
    """
    found = _own_or_404(seat, submission)
    file, key = request.FILES.get("file"), request.POST.get("key", "")
    refusal, size = request.POST.get("refusal", ""), request.POST.get("size", "0")
    # PostgreSQL keeps no null characters.
    if (file is None) != bool(refusal) or not 0 < len(key) <= 64 or "\0" in key:
        return _refused(_("Send one file as “file” and a key of up to 64 characters as “key”."))
    try:
        reference = clean_reference(request.POST.get("patient_reference", ""))
    except ValidationError as error:
        return _refused(error.messages[0])
    earlier = found.uploads.filter(key=key).first()
    if earlier is not None:
        return JsonResponse(_as_json(seat, earlier))
    delivery = _delivery(request, seat, found, key=key, file=file, patient_reference=reference)
    try:
        stored = (
            take(delivery, file)
            if file
            else [take_refusal(delivery, refusal, min(max(0, int(size)), LARGEST_SIZE))]
        )
    except SubmissionClosedError as error:
        return _refused(str(error), status=409)
    except (KeyError, ValueError):
        return _refused(_("That is no refusal that the portal knows."))
    told = _as_json(seat, stored[0])
    if len(stored) > 1:
        told["uploads"] = [_as_json(seat, inner) for inner in stored[1:]]
    return JsonResponse(told, status=201)


@require_POST
@clinic_view(Permit.SUBMIT)
def submission_finish(request: HttpRequest, seat: Seat, submission: uuid.UUID) -> HttpResponse:
    """No more files come."""
    found = _own_or_404(seat, submission, or_manage=True)
    finish_submission(submission=found, actor=seat.user, address=client_address(request))
    return _after(request, found)


@require_POST
@clinic_view(Permit.SUBMIT)
def submission_cancel(request: HttpRequest, seat: Seat, submission: uuid.UUID) -> HttpResponse:
    """Take no more files, analyse no more of it."""
    found = _own_or_404(seat, submission, or_manage=True)
    cancel_submission(submission=found, actor=seat.user, address=client_address(request))
    return _after(request, found)


@require_safe
@clinic_view(Permit.SEE_OWN)
def finding_file(request: HttpRequest, seat: Seat, finding: uuid.UUID, kind: str) -> HttpResponseBase:
    """A picture or the map of a finding. It never changes, so the browser may keep it."""
    found: Finding = get_object_or_404(seat.findings().select_related("image__study"), pk=finding)
    field, media_type = _FINDING_FILES.get(kind, ("", ""))
    name = getattr(found, field) if field else ""
    if not name or (kind in _TELLING and not reveals(seat, found.image.study)):
        raise Http404("Not found.")
    return _file(request, name, media_type, etag=f'"{found.pk}-{kind}"')


@require_safe
@clinic_view(Permit.SEE_OWN)
def image_file(request: HttpRequest, seat: Seat, image: uuid.UUID) -> HttpResponseBase:
    """The stored, de-identified original as an attachment; every download is audited."""
    found = get_object_or_404(seat.images(), pk=image)
    response = _file(request, found.file, found.media_type, etag=f'"{found.sha256}"')
    if isinstance(response, FileResponse):
        response.headers["Content-Disposition"] = (
            f'attachment; filename="{found.pk}{SUFFIXES[found.media_type]}"'
        )
    record(
        clinic=seat.clinic,
        action=Action.IMAGE_VIEWED,
        actor=seat.user,
        target=found,
        study=found.study_id,
        detail={"file": "original"},
        address=client_address(request),
    )
    return response


def _create(request: HttpRequest, seat: Seat, expected: int) -> Submission:
    grouping = request.POST.get("grouping", "")
    return create_submission(
        clinic=seat.clinic,
        submitter=seat.user,
        queue=Queue.INTERACTIVE if expected <= INTERACTIVE_FILES else Queue.BULK,
        expected_files=expected,
        grouping=grouping if grouping in Grouping.values else Grouping.FOLDERS,
        continues=_continued(request, seat),
        address=client_address(request),
    )


def _continued(request: HttpRequest, seat: Seat) -> Submission | None:
    """The person's own submission that was ended while they paused, if the form names one."""
    try:
        named = uuid.UUID(request.POST.get("continues", ""))
    except ValueError:
        return None
    ended = seat.submissions().filter(submitter=seat.user, state=Submission.State.FINISHED)
    return ended.filter(pk=named).first()


def _delivery(
    request: HttpRequest,
    seat: Seat,
    submission: Submission,
    *,
    file: UploadedFile[bytes] | None,
    key: str,
    patient_reference: str = "",
) -> Delivery:
    return Delivery(
        submission=submission,
        key=key,
        path=request.POST.get("path", "")[:LONGEST_PATH] or (file and file.name) or "",
        patient_reference=patient_reference,
        actor=seat.user,
        address=client_address(request),
    )


def _own_or_404(seat: Seat, pk: uuid.UUID, *, or_manage: bool = False) -> Submission:
    """Only the sender adds to a submission; the clinic's admin may end it for them."""
    submissions = seat.submissions()
    if not (or_manage and seat.may(Permit.MANAGE)):
        submissions = submissions.filter(submitter=seat.user)
    return get_object_or_404(submissions.select_related("clinic"), pk=pk)


def _as_json(seat: Seat, stored: Upload) -> dict[str, Any]:
    study = stored.image.study_id if stored.image else None
    may_open = study is not None and seat.studies().filter(pk=study).exists()
    return {
        "id": str(stored.pk),
        "outcome": stored.outcome,
        "filename": stored.filename,
        "sentence": rejection_sentence(stored),
        "kind": stored.kind,
        "study": reverse("study", args=[seat.clinic.slug, study]) if may_open else None,
    }


def _after(request: HttpRequest, submission: Submission) -> HttpResponse:
    page = _address("submission", submission)
    if wants_json(request):
        return JsonResponse({"id": str(submission.pk), "state": submission.state, "page": page})
    return redirect(page)


def _address(name: str, submission: Submission) -> str:
    return reverse(name, args=[submission.clinic.slug, submission.pk])


def _refused(sentence: str, status: int = 400) -> JsonResponse:
    return JsonResponse({"sentence": sentence}, status=status)


def _file(request: HttpRequest, name: str, media_type: str, *, etag: str) -> HttpResponseBase:
    """A stored file, privately cacheable for a day; ``name`` comes from a row, never from the address."""
    headers = {"ETag": etag, "Cache-Control": "private, max-age=86400, immutable", "Vary": "Cookie"}
    if etag in request.headers.get("If-None-Match", ""):
        return HttpResponseNotModified(headers=headers)
    try:
        file = default_storage.open(name, "rb")
    except FileNotFoundError:
        # The study was deleted a moment ago, or a backup of the rows is older than that of the files.
        logger.warning("%s is not in the file storage", name)
        raise Http404("Not found.") from None
    response = FileResponse(file, content_type=media_type, headers=headers)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
