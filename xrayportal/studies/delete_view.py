"""The admin's button that deletes a study."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from xrayportal.access import Permit, Seat, clinic_view
from xrayportal.intake.deletion import REASONS, Reason, delete_study
from xrayportal.security import client_address
from xrayportal.studies.gone import tells_deletion


@require_POST
@clinic_view(Permit.MANAGE)
@tells_deletion
def study_delete(request: HttpRequest, seat: Seat, study: uuid.UUID) -> HttpResponse:
    """Delete with a reason; back to the worklist."""
    found = get_object_or_404(seat.studies(), pk=study)
    reason = request.POST.get("reason", "")
    if reason not in dict(REASONS):
        messages.error(request, _("Choose why the study is deleted."))
        return redirect("study", clinic=seat.clinic.slug, study=found.pk)
    delete_study(study=found, reason=Reason(reason), actor=seat.user, address=client_address(request))
    messages.success(request, _("The study was deleted."))
    return redirect("worklist", clinic=seat.clinic.slug)
