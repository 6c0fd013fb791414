"""Fragments of the study page and the buttons that ask for analyses or call them off."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_POST, require_safe

from xrayportal.access import Permit, Seat, clinic_view
from xrayportal.analyses import services
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.pages import progress, result
from xrayportal.security import client_address
from xrayportal.studies.gone import some_deleted, tells_deletion
from xrayportal.studies.models import Study


@require_safe
@clinic_view(Permit.SEE_OWN)
@tells_deletion
def study_result(request: HttpRequest, seat: Seat, study: uuid.UUID) -> HttpResponse:
    """The part of the study page that polls; 204 while nothing changed.

    The answer that first brings a prediction to the screen is audited as a look, like the page itself.
    """
    seen = request.GET.get("seen", "")
    if seen == result.polled_version(seat, study):
        return HttpResponse(status=204)
    found = result.study_or_404(seat, study)
    shown = result.result_of(seat, found, request.GET.get("view"), request.GET.get("beside"))
    if shown.tells and not shown.polls:
        record(
            clinic=seat.clinic,
            action=Action.STUDY_VIEWED,
            actor=seat.user,
            target=found,
            study=found,
            detail={"revealed": True},
            address=client_address(request),
        )
    context = {"study": found, "result": shown, "kept": request.GET.get("kept")}
    response = render(request, "analyses/_result.html", context)
    # The history is asked for again when something happened, not whenever the line moves on.
    if not result.is_same_but_for_the_clock(seen, shown.version):
        response.headers["HX-Trigger"] = "result-changed"
    return response


@require_safe
@clinic_view(Permit.SEE_OWN)
@tells_deletion
def study_history(request: HttpRequest, seat: Seat, study: uuid.UUID) -> HttpResponse:
    """All analyses of the study and who did what."""
    found = result.study_or_404(seat, study)
    history = result.history_of(seat, found)
    return render(request, "analyses/_history.html", {"study": found, "history": history})


@require_POST
@clinic_view(Permit.SUBMIT)
@tells_deletion
def request_analysis(request: HttpRequest, seat: Seat, study: uuid.UUID) -> HttpResponse:
    """Ask for an analysis: the first one after a cancellation, a retry, or one with a stated part."""
    found = get_object_or_404(seat.studies(), pk=study)
    if found.state != Study.State.SEALED:
        messages.error(request, gettext("This study still receives views. Finish its submission first."))
        return redirect("study", clinic=seat.clinic.slug, study=found.pk)
    try:
        services.request_analysis(
            study=found,
            actor=seat.user,
            forced_part=request.POST.get("forced_part", "")[:32],
            address=client_address(request),
        )
    except (services.NoActiveBundleError, services.UnknownPartError) as error:
        messages.error(request, str(error))
    return redirect("study", clinic=seat.clinic.slug, study=found.pk)


@require_POST
@clinic_view(Permit.SUBMIT)
@tells_deletion
def cancel_analysis(request: HttpRequest, seat: Seat, analysis: uuid.UUID) -> HttpResponse:
    """Call an analysis off; what has finished stays."""
    found = get_object_or_404(seat.analyses(), pk=analysis)
    services.cancel_analysis(analysis=found, actor=seat.user, address=client_address(request))
    return redirect("study", clinic=seat.clinic.slug, study=found.study_id)


@require_POST
@clinic_view(Permit.SUBMIT)
def retry_submission(request: HttpRequest, seat: Seat, submission: uuid.UUID) -> HttpResponse:
    """Ask again for every study of the submission whose newest analysis failed."""
    found = get_object_or_404(seat.submissions(), pk=submission)
    asked = gone = 0
    try:
        for study in progress.failed_studies(found).select_related("clinic", "submission"):
            try:
                services.request_analysis(study=study, actor=seat.user, address=client_address(request))
                asked += 1
            except Study.DoesNotExist:
                gone += 1
    except services.NoActiveBundleError as error:
        messages.error(request, str(error))
    if asked:
        words = ngettext("%d study is analysed again.", "%d studies are analysed again.", asked)
        messages.success(request, words % asked)
    if gone:
        messages.info(request, some_deleted(gone))
    return redirect("submission", clinic=seat.clinic.slug, submission=found.pk)
