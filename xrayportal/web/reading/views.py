"""Reading sessions: start one from a list, and see at its end what became of it."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.web.reading.forms import StartForm
from xrayportal.web.reading.page import summary_page
from xrayportal.web.study.page import study_address
from xrayportal.web.worklist.page import page_number
from xrayportal.web.worklist.rows import PER_PAGE, Filters, studies_of
from xrayportal.worklist.reading import MOST, begin_session, session_of


@require_POST
@clinic_view(Permission.SEE_OWN)
def start(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """Start a session over the list of ``query``, and open ``study`` or else its first study."""
    form = StartForm(request.POST)
    if not form.is_valid():
        raise Http404("Not found.")
    query, study = QueryDict(form.cleaned_data["query"].removeprefix("?")), form.cleaned_data["study"]
    filters = Filters.read(query)
    ids = studies_of(access, filters)
    studies = list(ids[:MOST])
    if study and study not in studies:
        # Further down: the session begins with the page that was in sight.
        first = (page_number(query.get("page", "")) - 1) * PER_PAGE
        studies = list(ids[first : first + MOST])
    if study and study not in studies:
        studies = [study]  # the list has changed since it was drawn
    if not studies:
        messages.info(request, _("There is nothing to read in this list."))
        return redirect("worklist", clinic=access.clinic.slug)
    session = begin_session(access=access, studies=studies, query=filters.query)
    return redirect(study_address(access, study or studies[0], session.pk))


@require_safe
@vary_on_headers("HX-Request")
@clinic_view(Permission.SEE_OWN)
def summary(request: PortalRequest, access: ClinicAccess, session: uuid.UUID) -> HttpResponse:
    """What became of the person's own session."""
    row = session_of(access, str(session))
    if row is None:
        raise Http404("Not found.")
    return summary_page(request, access, row)
