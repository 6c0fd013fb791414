"""The model card of a bundle as a page."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.analyses.models import Bundle
from xrayportal.web.model_card.card import ModelCard


@require_safe
@clinic_view(Permission.SEE_OWN)
def model_card(request: PortalRequest, access: ClinicAccess, bundle: int) -> HttpResponse:
    """What a model version was tested on, what each of its results means, and where it fails."""
    row = get_object_or_404(Bundle, pk=bundle)
    return render(request, "model_card/model_card.html", {"card": ModelCard(row)})
