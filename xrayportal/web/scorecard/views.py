"""The scorecard's page."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.reviews.blind import reads_blind
from xrayportal.reviews.history import BASES, periods_of
from xrayportal.reviews.scorecard.card import Scorecard
from xrayportal.reviews.scorecard.lines import UNCERTAIN, ScorecardFilter


@require_safe
@clinic_view(Permission.MANAGE)
def scorecard(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """The page: the model against signed reviews, readers against each other, and drift."""
    filters = ScorecardFilter.read(request.GET)
    context = {
        "access": access,
        "filters": filters,
        "card": Scorecard(access, filters),
        "hides": reads_blind(access),
        "bases": BASES.items(),
        "periods": periods_of(access.clinic, filters.period),
        "uncertains": UNCERTAIN.items(),
    }
    return render(request, "scorecard/scorecard.html", context)
