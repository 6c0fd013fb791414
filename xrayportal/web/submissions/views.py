"""Uploading: the drop zone, single files, the list and the page of submissions, results to take away."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.analyses import services
from xrayportal.analyses.bundles import NoActiveBundleError
from xrayportal.analyses.models import Bundle
from xrayportal.analyses.outcomes import OUTCOMES
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.intake.bulk.delivery import UnknownRefusalError, take, take_refusal
from xrayportal.intake.bulk.labels import is_labels
from xrayportal.intake.ingest import IncomingFile, SubmissionClosedError
from xrayportal.intake.quotas import QuotaExceededError
from xrayportal.intake.services import (
    ClinicUndecidedError,
    cancel_submission,
    create_submission,
    finish_submission,
)
from xrayportal.security import wants_json
from xrayportal.studies.models import Study, Submission, Upload
from xrayportal.web.shared.addresses import study_addresses
from xrayportal.web.shared.attachment import attachment
from xrayportal.web.shared.deleted import some_deleted
from xrayportal.web.shared.failures import rejection_sentence
from xrayportal.web.shared.fields import CutCharField
from xrayportal.web.shared.polling import Version, seen_version, unchanged
from xrayportal.web.submissions.forms import LONGEST_PATH, DetailsForm, SubmissionForm, UploadForm
from xrayportal.web.submissions.lists import files_page, title_of, verdicts_of, with_counts, with_version
from xrayportal.web.submissions.own import own_or_404, own_with_key_or_404
from xrayportal.web.submissions.results import result_lines, result_zip
from xrayportal.words.verdicts import verdict_word
from xrayportal.worklist import progress
from xrayportal.worklist.digests import note_seen

if TYPE_CHECKING:
    from xrayportal.web.submissions.lists import VersionedSubmission

SUBMISSIONS_PER_PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
def submissions(request: HttpRequest, clinic: str) -> HttpResponseBase:
    """The list of submissions (GET), or a new submission (POST)."""
    if request.method == "POST":
        return _new_submission(request, clinic=clinic)
    return submissions_page(request, clinic=clinic)


@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest, clinic: str) -> HttpResponseBase:
    """The drop zone (GET), or all files at once from a browser without JavaScript (POST)."""
    if request.method == "POST":
        return _plain_form(request, clinic=clinic)
    return upload_page(request, clinic=clinic)


@clinic_view(Permission.SUBMIT)
def _new_submission(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    form = SubmissionForm(request.POST)
    if not form.is_valid():
        return _refused(form.sentence)
    try:
        submission = _create(access, form)
    except ClinicUndecidedError as error:
        return _refused(str(error), status=409)
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


@clinic_view(Permission.SUBMIT)
def _plain_form(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    # CSVs first: their labels are for the pictures.
    files = sorted(request.FILES.getlist("files"), key=lambda file: not is_labels(file.name or ""))
    if not files:
        return redirect("upload", clinic=access.clinic.slug)
    form = SubmissionForm({"grouping": request.POST.get("grouping", ""), "expected_files": len(files)})
    details = DetailsForm(request.POST)
    if not details.is_valid():
        messages.error(
            request, " ".join(str(error) for errors in details.errors.values() for error in errors)
        )
        return redirect("upload", clinic=access.clinic.slug)
    try:
        submission = _create(access, form)
    except ClinicUndecidedError:
        return redirect("upload", clinic=access.clinic.slug)  # which says so
    for number, file in enumerate(files):
        path = CutCharField(longest=LONGEST_PATH).clean(file.name)
        incoming = IncomingFile(
            submission,
            f"form-{number}",
            path,
            access.actor,
            patient_reference=details.cleaned_data["patient_reference"],
            stated_body_part=details.cleaned_data["body_part"],
        )
        try:
            take(incoming, file)
        except QuotaExceededError as error:
            messages.error(request, str(error))
            break
    finish_submission(submission=submission, actor=access.actor)
    return redirect(_page_of(request, access, submission))


@require_safe
@clinic_view(Permission.SUBMIT)
def upload_page(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """The page with the drop zone, a plain form where scripts do not run."""
    return render(request, "submissions/upload.html")


@require_safe
@clinic_view(Permission.SEE_OWN)
def submissions_page(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """The page of the submissions that this person may see, newest first."""
    rows = with_counts(access.submissions()).select_related("submitter").order_by("-created_at", "pk")
    page = Paginator(rows, SUBMISSIONS_PER_PAGE).get_page(request.GET.get("page"))
    verdicts = verdicts_of(access, page.object_list)
    bundle = _naming_bundle() if verdicts else None
    rows_with_verdicts = [(row, _verdict_counts(verdicts.get(row.pk, {}), bundle)) for row in page]
    return render(request, "submissions/submissions.html", {"page": page, "rows": rows_with_verdicts})


@require_safe
@clinic_view(Permission.SEE_OWN)
def submission_page(request: PortalRequest, access: ClinicAccess, submission: uuid.UUID) -> HttpResponse:
    """The page of a submission: its progress, and the outcome of every file."""
    return _render_progress(request, access, submission, "submissions/submission.html")


@require_safe
@clinic_view(Permission.SEE_OWN)
def submission_progress(request: PortalRequest, access: ClinicAccess, submission: uuid.UUID) -> HttpResponse:
    """The fragment of the submission page that polls; 204 while nothing changed."""
    return _render_progress(
        request, access, submission, "submissions/_progress.html", seen=seen_version(request)
    )


@require_POST
@clinic_view(Permission.SUBMIT)
def submission_uploads(request: PortalRequest, access: ClinicAccess, submission: uuid.UUID) -> HttpResponse:
    """Take one file. Its outcome is a 201, also if rejected; the same key again is a 200 with the same."""
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        own_or_404(access, submission)
        return _refused(form.sentence)
    sent = form.cleaned_data
    own, has_come = own_with_key_or_404(access, submission, sent["key"])
    if has_come:
        return JsonResponse(_as_json(access, own.uploads.get(key=sent["key"])))
    file = sent["file"]
    incoming = IncomingFile(
        submission=own,
        key=sent["key"],
        path=sent["path"] or (file and file.name) or "",
        patient_reference=sent["patient_reference"],
        stated_body_part=sent["body_part"],
        actor=access.actor,
    )
    try:
        uploads = take(incoming, file) if file else [take_refusal(incoming, sent["refusal"], sent["size"])]
    except SubmissionClosedError as error:
        return _refused(str(error), status=409)
    except QuotaExceededError as error:
        refused = _refused(str(error), status=429)
        refused.headers["Retry-After"] = str(error.retry_after)
        return refused
    except UnknownRefusalError:
        return _refused(_("The portal does not know this kind of rejection."))
    outcome = _as_json(access, uploads[0])
    if len(uploads) > 1:
        outcome["uploads"] = [_as_json(access, inner) for inner in uploads[1:]]
    return JsonResponse(outcome, status=201)


@require_POST
@clinic_view(Permission.SUBMIT)
def submission_finish(request: PortalRequest, access: ClinicAccess, submission: uuid.UUID) -> HttpResponse:
    """Finish a submission: no more files come."""
    row = own_or_404(access, submission, or_manage=True)
    finish_submission(submission=row, actor=access.actor)
    return _after(request, row, page=_page_of(request, access, row))


@require_POST
@clinic_view(Permission.SUBMIT)
def submission_cancel(request: PortalRequest, access: ClinicAccess, submission: uuid.UUID) -> HttpResponse:
    """Cancel a submission: no more of its files are taken, no more of its studies analysed."""
    row = own_or_404(access, submission, or_manage=True)
    cancel_submission(submission=row, actor=access.actor)
    return _after(request, row)


@require_POST
@clinic_view(Permission.SUBMIT)
def retry_submission(request: PortalRequest, access: ClinicAccess, submission: uuid.UUID) -> HttpResponse:
    """Request a new analysis of every study of the submission whose newest analysis failed."""
    row = get_object_or_404(access.submissions(), pk=submission)
    requested = deleted = 0
    try:
        for study in progress.failed_studies(row).select_related("clinic", "submission"):
            try:
                services.request_analysis(study=study, actor=access.actor)
                requested += 1
            except Study.DoesNotExist:
                deleted += 1
    except NoActiveBundleError as error:
        messages.error(request, str(error))
    if requested:
        words = ngettext("%d study will be analysed again.", "%d studies will be analysed again.", requested)
        messages.success(request, words % requested)
    if deleted:
        messages.info(request, some_deleted(deleted))
    return redirect("submission", clinic=access.clinic.slug, submission=row.pk)


@require_POST
@clinic_view(Permission.SEE_OWN)
def submission_results(
    request: PortalRequest, access: ClinicAccess, submission: uuid.UUID
) -> StreamingHttpResponse:
    """The results as CSV, a study a line."""
    row = _exported(request, access, submission, "csv")
    lines = result_lines(access, row, study_addresses(request, access.clinic))
    return attachment(lines, filename="results.csv", media_type="text/csv; charset=utf-8")


@require_POST
@clinic_view(Permission.SEE_OWN)
def submission_pictures(
    request: PortalRequest, access: ClinicAccess, submission: uuid.UUID
) -> StreamingHttpResponse:
    """The results as ZIP, with every view and its heatmap."""
    row = _exported(request, access, submission, "zip")
    pieces = result_zip(access, row, study_addresses(request, access.clinic))
    return attachment(pieces, filename="results.zip", media_type="application/zip")


def _render_progress(
    request: PortalRequest, access: ClinicAccess, pk: uuid.UUID, template: str, seen: Version | None = None
) -> HttpResponse:
    submission: VersionedSubmission = get_object_or_404(with_version(access.submissions()), pk=pk)
    version = Version(submission.version)
    if seen == version:
        return unchanged()
    counts = progress.progress_of(submission, access)
    if counts.is_final and submission.submitter_id == access.user.pk:
        note_seen(submission, access.user)
    context = {
        "verdicts": _verdict_counts(counts.verdicts, _naming_bundle() if counts.verdicts else None),
        "submission": submission,
        "title": title_of(submission),
        "version": version,
        # As `own_or_404` decides for the buttons: the sender, and the clinic's admin.
        "may_end": submission.submitter_id == access.user.pk or access.may(Permission.MANAGE),
        "progress": counts,
        "page": files_page(access, submission, request.GET.get("page")),
    }
    return render(request, template, context)


def _naming_bundle() -> Bundle | None:
    """The bundle whose words name the outcomes of studies that several bundles may have analysed."""
    return Bundle.objects.order_by("-is_active", "-registered_at").first()


def _verdict_counts(studies: Mapping[str, int], bundle: Bundle | None) -> list[tuple[str, str, int]]:
    """Code, word and number of studies of each outcome that there is; ``studies`` are numbers by code."""
    if bundle is None:
        return []
    given = [code for code in OUTCOMES if code in studies]
    return [(code, verdict_word(bundle.manifest, code), studies[code]) for code in given]


def _create(access: ClinicAccess, form: SubmissionForm) -> Submission:
    return create_submission(clinic=access.clinic, actor=access.actor, **form.options(access))


def _as_json(access: ClinicAccess, upload: Upload) -> dict[str, Any]:
    study = upload.image.study if upload.image else None
    may_open = study is not None and access.may_open(study)
    return {
        "id": str(upload.pk),
        "outcome": upload.outcome,
        "filename": upload.filename,
        "sentence": rejection_sentence(upload),
        "kind": upload.kind,
        "study": reverse("study", args=[access.clinic.slug, study.pk]) if study and may_open else None,
    }


def _page_of(request: HttpRequest, access: ClinicAccess, submission: Submission) -> str:
    """Where a sender goes when all files have come: to the study of a single picture, else the submission.

    There they are told if the picture was here before.
    """
    uploads = list(submission.uploads.select_related("image")[:2])
    only = uploads[0].image if len(uploads) == 1 else None
    if only is not None and access.studies().filter(pk=only.study_id).exists():
        if uploads[0].outcome == Upload.Outcome.DUPLICATE:
            messages.info(request, _("This image was here already. This is its study."))
        return reverse("study", args=[access.clinic.slug, only.study_id])
    return _address("submission", submission)


def _after(request: HttpRequest, submission: Submission, page: str = "") -> HttpResponse:
    page = page or _address("submission", submission)
    if wants_json(request):
        return JsonResponse({"id": str(submission.pk), "state": submission.state, "page": page})
    return redirect(page)


def _address(name: str, submission: Submission) -> str:
    return reverse(name, args=[submission.clinic.slug, submission.pk])


def _refused(sentence: str, status: int = 400) -> JsonResponse:
    return JsonResponse({"sentence": sentence}, status=status)


def _exported(request: PortalRequest, access: ClinicAccess, pk: uuid.UUID, kind: str) -> Submission:
    """The submission, after its export was audited. Raises Http404."""
    submission = get_object_or_404(access.submissions(), pk=pk)
    record(
        clinic=access.clinic,
        action=Action.EXPORTED,
        actor=access.actor,
        target=submission,
        detail={"kind": f"submission-{kind}"},
    )
    return submission
