"""The study page: result and history as fragments, analyses on demand, its files, and its deletion."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import trigger_client_event

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.analyses import services
from xrayportal.analyses.bundles import NoActiveBundleError
from xrayportal.intake.correction import correct_study
from xrayportal.intake.deletion import delete_study, may_delete
from xrayportal.web.shared.deleted import handle_deleted_study
from xrayportal.web.shared.polling import seen_version, unchanged
from xrayportal.web.shared.stored_files import finding_response, original_response
from xrayportal.web.study.ahead import views_ahead
from xrayportal.web.study.forms import AnalysisForm, CorrectionForm, DeleteForm
from xrayportal.web.study.history import history_of
from xrayportal.web.study.page import note_looks, study_page_of
from xrayportal.web.study.result import active_bundle_of, known_body_parts_of, result_of, study_or_404
from xrayportal.web.study.version import polled_version


@require_safe
@vary_on_headers("HX-Request")
@clinic_view(Permission.SEE_OWN)
@handle_deleted_study
def study_page(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """The page with the radiograph and its result; for htmx what changes from study to study."""
    query = request.GET
    return study_page_of(
        request,
        access,
        study,
        reading=query.get("reading"),
        view=query.get("view"),
        beside=query.get("beside"),
    )


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
    row, query = study_or_404(access, study), request.GET
    result = result_of(access, row, query.get("view"), query.get("beside"), query.get("reading"))
    note_looks(access, result)
    context = {
        "study": row,
        "result": result,
        "kept": query.get("kept"),
        "views_ahead": views_ahead(access, result),
    }
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
@clinic_view(Permission.SUBMIT)
@handle_deleted_study
def study_correct(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """Correct the patient reference and the body part that the sender stated."""
    row = get_object_or_404(access.studies(), pk=study)
    form = CorrectionForm(request.POST, body_parts=known_body_parts_of(row, active_bundle_of(row)))
    if not form.is_valid():
        for errors in form.errors.values():
            messages.error(request, " ".join(map(str, errors)))
        return redirect("study", clinic=access.clinic.slug, study=row.pk)
    try:
        changed = correct_study(study=row, actor=access.actor, **form.cleaned_data)
    except NoActiveBundleError as error:
        messages.error(request, str(error))
    else:
        if "stated_body_part" in changed:
            messages.success(request, _("Saved. The study is analysed again with this body part."))
        elif changed:
            messages.success(request, _("Saved."))
    return redirect("study", clinic=access.clinic.slug, study=row.pk)


@require_POST
@clinic_view(Permission.SUBMIT)
@handle_deleted_study
def study_delete(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """Delete the study for a reason, and go back to the worklist."""
    row = get_object_or_404(access.studies().select_related("submission"), pk=study)
    if not may_delete(access, row):
        raise Http404("Not found.")
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
    """A picture or the map of a finding."""
    return finding_response(request, access, finding, kind)


@require_safe
@clinic_view(Permission.SEE_OWN)
def image_file(request: PortalRequest, access: ClinicAccess, image: uuid.UUID) -> HttpResponseBase:
    """The stored, de-identified original."""
    return original_response(request, access, image)
