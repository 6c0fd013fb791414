"""The study page: result and history as fragments, analyses on demand, its files, and its deletion."""

from __future__ import annotations

import logging
import uuid

from django.contrib import messages
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.http.response import HttpResponseNotModified
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
from xrayportal.intake.sniff import SUFFIXES
from xrayportal.reviews.blind import reveals
from xrayportal.studies.models import Study
from xrayportal.web.shared.deleted import handle_deleted_study
from xrayportal.web.shared.polling import seen_version, unchanged
from xrayportal.web.study import earlier, result
from xrayportal.web.study.forms import AnalysisForm, DeleteForm
from xrayportal.worklist.services import mark_read

logger = logging.getLogger(__name__)


#: Files of a finding: the model's field and the media type.
_FINDING_FILES = {
    "display": ("display_file", "image/jpeg"),
    "thumbnail": ("thumbnail_file", "image/jpeg"),
    "overlay": ("overlay_file", "image/png"),
    "map": ("map_file", "application/json"),
}


#: Those that show the prediction, which is kept from a reader who reads blind first.
_TELLING = frozenset({"overlay", "map"})


@require_safe
@clinic_view(Permission.SEE_OWN)
@handle_deleted_study
def study_page(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """The radiograph, its result and its history. The look is audited, and whether it told the prediction."""
    found = result.study_or_404(access, study)
    shown = result.result_of(access, found, request.GET.get("view"), request.GET.get("beside"))
    history = result.history_of(access, found)
    looks: list[tuple[Study, bool]] = [(found, shown.tells)]
    if shown.beside:
        looks.append((shown.beside.study, shown.beside.revealed))
    for seen, told in looks:
        record(
            clinic=access.clinic,
            action=Action.STUDY_VIEWED,
            actor=access.actor,
            target=seen,
            study=seen,
            detail={"revealed": told},
        )
    mark_read(access, [found.pk])
    context = {
        "study": found,
        "title": result.title_of(found),
        "result": shown,
        "history": history,
        "earlier": earlier.earlier_of(access, found),
        "delete_reasons": REASONS,
    }
    return render(request, "study/study.html", context)


@require_safe
@clinic_view(Permission.SEE_OWN)
@handle_deleted_study
def study_result(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """The fragment of the study page that polls; 204 while nothing changed.

    The answer that first brings a prediction to the screen is audited as a look, like the page itself.
    """
    seen = seen_version(request)
    if seen == result.polled_version(access, study):
        return unchanged()
    found = result.study_or_404(access, study)
    shown = result.result_of(access, found, request.GET.get("view"), request.GET.get("beside"))
    if shown.tells and not shown.polls:
        record(
            clinic=access.clinic,
            action=Action.STUDY_VIEWED,
            actor=access.actor,
            target=found,
            study=found,
            detail={"revealed": True},
        )
    context = {"study": found, "result": shown, "kept": request.GET.get("kept")}
    response = render(request, "study/_result.html", context)
    # The history is asked for again when something happened, not whenever the line moves on.
    if seen is None or seen.content != shown.version.content:
        trigger_client_event(response, "result-changed")
    return response


@require_safe
@clinic_view(Permission.SEE_OWN)
@handle_deleted_study
def study_history(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """All analyses of the study and who did what."""
    found = result.study_or_404(access, study)
    history = result.history_of(access, found)
    return render(request, "study/_history.html", {"study": found, "history": history})


@require_POST
@clinic_view(Permission.SUBMIT)
@handle_deleted_study
def request_analysis(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """Ask for an analysis: the first one after a cancellation, a retry, or one with a stated part."""
    found = get_object_or_404(access.studies(), pk=study)
    if not found.is_sealed:
        messages.error(request, gettext("This study still receives views. Finish its submission first."))
        return redirect("study", clinic=access.clinic.slug, study=found.pk)
    form = AnalysisForm(request.POST)
    if not form.is_valid():
        raise Http404("Not found.")
    try:
        services.request_analysis(study=found, actor=access.actor, **form.cleaned_data)
    except (NoActiveBundleError, services.UnknownBodyPartError) as error:
        messages.error(request, str(error))
    return redirect("study", clinic=access.clinic.slug, study=found.pk)


@require_POST
@clinic_view(Permission.SUBMIT)
@handle_deleted_study
def cancel_analysis(request: PortalRequest, access: ClinicAccess, analysis: uuid.UUID) -> HttpResponse:
    """Call an analysis off; what has finished stays."""
    found = get_object_or_404(access.analyses(), pk=analysis)
    services.cancel_analysis(analysis=found, actor=access.actor)
    return redirect("study", clinic=access.clinic.slug, study=found.study_id)


@require_POST
@clinic_view(Permission.MANAGE)
@handle_deleted_study
def study_delete(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """Delete with a reason; back to the worklist."""
    found = get_object_or_404(access.studies(), pk=study)
    form = DeleteForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose why the study is deleted."))
        return redirect("study", clinic=access.clinic.slug, study=found.pk)
    delete_study(study=found, reason=form.cleaned_data["reason"], actor=access.actor)
    messages.success(request, _("The study was deleted."))
    return redirect("worklist", clinic=access.clinic.slug)


@require_safe
@clinic_view(Permission.SEE_OWN)
def finding_file(
    request: PortalRequest, access: ClinicAccess, finding: uuid.UUID, kind: str
) -> HttpResponseBase:
    """A picture or the map of a finding. It never changes, so the browser may keep it."""
    found: Finding = get_object_or_404(access.findings().select_related("image__study"), pk=finding)
    field, media_type = _FINDING_FILES.get(kind, ("", ""))
    name = getattr(found, field) if field else ""
    if not name or (kind in _TELLING and not reveals(access, found.image.study)):
        raise Http404("Not found.")
    return _file(request, name, media_type, etag=f'"{found.pk}-{kind}"')


@require_safe
@clinic_view(Permission.SEE_OWN)
def image_file(request: PortalRequest, access: ClinicAccess, image: uuid.UUID) -> HttpResponseBase:
    """The stored, de-identified original as an attachment; every download is audited."""
    found = get_object_or_404(access.images(), pk=image)
    response = _file(request, found.file, found.media_type, etag=f'"{found.sha256}"')
    if isinstance(response, FileResponse):
        response.headers["Content-Disposition"] = (
            f'attachment; filename="{found.pk}{SUFFIXES[found.media_type]}"'
        )
    record(
        clinic=access.clinic,
        action=Action.IMAGE_VIEWED,
        actor=access.actor,
        target=found,
        study=found.study_id,
        detail={"file": "original"},
    )
    return response


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
