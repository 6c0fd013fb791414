"""The study page: result and history as fragments, analyses on demand, its files, and its deletion."""

from __future__ import annotations

import logging
import uuid

from django.contrib import messages
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.http.response import HttpResponseNotModified, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import trigger_client_event

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.analyses import services
from xrayportal.analyses.bundles import NoActiveBundleError
from xrayportal.analyses.models import Finding
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.intake.deletion import REASONS, delete_study
from xrayportal.intake.media_types import SUFFIXES
from xrayportal.reviews.blind import reveals
from xrayportal.studies.models import Image
from xrayportal.web.shared.deleted import handle_deleted_study
from xrayportal.web.shared.polling import seen_version, unchanged
from xrayportal.web.study.earlier import earlier_of, later_parts
from xrayportal.web.study.forms import AnalysisForm, DeleteForm
from xrayportal.web.study.result import (
    StudyResult,
    history_of,
    polled_version,
    result_of,
    study_or_404,
    title_of,
)
from xrayportal.worklist.services import mark_read

logger = logging.getLogger(__name__)


#: Files of a finding: the model's field and the media type.
_FINDING_FILES = {
    "display": ("display_file", "image/jpeg"),
    "thumbnail": ("thumbnail_file", "image/jpeg"),
    "overlay": ("overlay_file", "image/png"),
    "map": ("map_file", "application/json"),
    "depth": ("depth_file", "image/png"),
}


#: The files that reveal the prediction.
_REVEALING = frozenset({"overlay", "map"})
#: Lists show it of fifty studies at once: seeing a list is no look at each of them.
_LISTED = "thumbnail"


@require_safe
@clinic_view(Permission.SEE_OWN)
@handle_deleted_study
def study_page(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """The page with the radiograph, its result and its history.

    It is audited who looked at the study, and whether the page showed them the prediction.
    """
    row = study_or_404(access, study)
    result = result_of(access, row, request.GET.get("view"), request.GET.get("beside"))
    history = history_of(access, row)
    _note_looks(access, result)
    mark_read(access, [row.pk])
    earlier = earlier_of(access, row)
    context = {
        "study": row,
        "title": title_of(row),
        "result": result,
        "history": history,
        "earlier": earlier,
        "later_parts": later_parts(row, earlier),
        "delete_reasons": REASONS,
    }
    return render(request, "study/study.html", context)


@require_safe
@clinic_view(Permission.SEE_OWN)
@handle_deleted_study
def study_result(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """The fragment of the study page that polls; 204 while nothing changed.

    It is a look like the page itself, so the answer that first shows a prediction is audited.
    """
    seen = seen_version(request)
    if seen == polled_version(access, study):
        return unchanged()
    row = study_or_404(access, study)
    result = result_of(access, row, request.GET.get("view"), request.GET.get("beside"))
    _note_looks(access, result)
    context = {"study": row, "result": result, "kept": request.GET.get("kept")}
    response = render(request, "study/_result.html", context)
    # The page loads the history again when something happened, not whenever the line moves on.
    if seen is None or seen.content != result.version.content:
        trigger_client_event(response, "result-changed")
    return response


@require_safe
@clinic_view(Permission.SEE_OWN)
@handle_deleted_study
def study_history(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """The fragment with all analyses of the study and its audit events."""
    row = study_or_404(access, study)
    history = history_of(access, row)
    access.note_look(row, revealed=history.revealed and row.current_id is not None)
    return render(request, "study/_history.html", {"study": row, "history": history})


@require_POST
@clinic_view(Permission.SUBMIT)
@handle_deleted_study
def request_analysis(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """Request an analysis: after a cancellation, as a retry, or with a given body part."""
    row = get_object_or_404(access.studies(), pk=study)
    if not row.is_sealed:
        messages.error(request, gettext("This study is still receiving images. Finish its submission first."))
        return redirect("study", clinic=access.clinic.slug, study=row.pk)
    form = AnalysisForm(request.POST)
    if not form.is_valid():
        raise Http404("Not found.")
    try:
        services.request_analysis(study=row, actor=access.actor, **form.cleaned_data)
    except (NoActiveBundleError, services.UnknownBodyPartError) as error:
        messages.error(request, str(error))
    return redirect("study", clinic=access.clinic.slug, study=row.pk)


@require_POST
@clinic_view(Permission.SUBMIT)
@handle_deleted_study
def cancel_analysis(request: PortalRequest, access: ClinicAccess, analysis: uuid.UUID) -> HttpResponse:
    """Call an analysis off; a finished one is left as it is."""
    row = get_object_or_404(access.analyses(), pk=analysis)
    services.cancel_analysis(analysis=row, actor=access.actor)
    return redirect("study", clinic=access.clinic.slug, study=row.study_id)


@require_POST
@clinic_view(Permission.MANAGE)
@handle_deleted_study
def study_delete(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """Delete the study for a reason, and go back to the worklist."""
    row = get_object_or_404(access.studies(), pk=study)
    form = DeleteForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose why the study is deleted."))
        return redirect("study", clinic=access.clinic.slug, study=row.pk)
    delete_study(study=row, reason=form.cleaned_data["reason"], actor=access.actor)
    messages.success(request, _("The study was deleted."))
    return redirect("worklist", clinic=access.clinic.slug)


@require_safe
@clinic_view(Permission.SEE_OWN)
def finding_file(
    request: PortalRequest, access: ClinicAccess, finding: uuid.UUID, kind: str
) -> HttpResponseBase:
    """A picture or the map of a finding. The file never changes, so the browser may keep it."""
    row: Finding = get_object_or_404(access.findings().select_related("image__study"), pk=finding)
    field, media_type = _FINDING_FILES.get(kind, ("", ""))
    name = getattr(row, field) if field else ""
    if not name or (kind in _REVEALING and not reveals(access, row.image.study)):
        raise Http404("Not found.")
    response = _file(request, name, media_type, etag=f'"{row.pk}-{kind}"')
    if kind != _LISTED:
        access.note_look(row.image.study, revealed=kind in _REVEALING)
    return response


@require_safe
@clinic_view(Permission.SEE_OWN)
def image_file(request: PortalRequest, access: ClinicAccess, image: uuid.UUID) -> HttpResponseBase:
    """The stored, de-identified original as an attachment; every download is audited."""
    row = get_object_or_404(access.images(), pk=image)
    filename = f"{row.pk}{SUFFIXES[row.media_type]}"
    response = _signed_download(request, row, filename)
    if response is None:
        response = _file(request, row.file, row.media_type, etag=f'"{row.sha256}"')
        if isinstance(response, FileResponse):
            response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    record(
        clinic=access.clinic,
        action=Action.IMAGE_VIEWED,
        actor=access.actor,
        target=row,
        study=row.study_id,
        detail={"file": "original"},
    )
    return response


def _note_looks(access: ClinicAccess, result: StudyResult) -> None:
    """Audit the look at the study, and at the one beside it."""
    access.note_look(result.study, revealed=result.shows_prediction)
    if result.comparison:
        access.note_look(result.comparison.study, revealed=result.comparison.revealed)


def _signed_download(request: HttpRequest, image: Image, filename: str) -> HttpResponseBase | None:
    """A redirect to the object store for a person's click, where the store can be reached by browsers.

    Not for scripts of ours: the pages' policy lets them talk to the portal alone.
    """
    signed_download = getattr(default_storage, "signed_download", None)
    if signed_download is None or request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
        return None
    address = signed_download(image.file, media_type=image.media_type, filename=filename)
    return HttpResponseRedirect(address) if address else None


def _file(request: HttpRequest, name: str, media_type: str, *, etag: str) -> HttpResponseBase:
    """A stored file, privately cacheable for a day; ``name`` comes from a row, never from the address."""
    headers = {"ETag": etag, "Cache-Control": "private, max-age=86400, immutable", "Vary": "Cookie"}
    if etag in request.headers.get("If-None-Match", ""):
        return HttpResponseNotModified(headers=headers)
    try:
        file = default_storage.open(name, "rb")
    except FileNotFoundError:
        # The study was deleted a moment ago, or the files were restored from an older backup than the rows.
        logger.warning("%s is not in the file storage", name)
        raise Http404("Not found.") from None
    response = FileResponse(file, content_type=media_type, headers=headers)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
