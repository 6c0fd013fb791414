"""The worklist, as a page, as a fragment for another filter and as a poll; bulk actions and saved views."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import trigger_client_event

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.intake.deletion import REASONS
from xrayportal.web.shared.polling import seen_version, unchanged
from xrayportal.web.worklist import rows
from xrayportal.web.worklist.bulk_action import act_on
from xrayportal.web.worklist.forms import BulkActionForm, SavedViewForm
from xrayportal.web.worklist.own_lists import remember
from xrayportal.web.worklist.page import address_query, clock_of, list_context
from xrayportal.web.worklist.rows import Filters
from xrayportal.worklist import services
from xrayportal.worklist.models import SavedView


@require_safe
@vary_on_headers("HX-Request")
@clinic_view(Permission.SEE_OWN)
def worklist(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """The page of the studies that this person may see; for htmx only the list.

    Without a query it is the list that they looked at last; a poll, of whatever tab, changes nothing of that.
    With ``?seen=`` of an earlier answer: 204 while the list reads the same. As long as nothing happened
    in the clinic that takes one query, for the number of its newest event.
    """
    htmx = request.htmx
    seen = seen_version(request) if htmx else None
    clock = clock_of(access)
    if seen and seen.clock == clock:
        return unchanged()
    context = list_context(request, access, clock)
    if seen and seen.content == context["version"].content:
        # The same list at a later clock: the browser notes the new one.
        return trigger_client_event(unchanged(), "list-unchanged", {"value": str(context["version"])})
    if seen is None:
        remember(access, context["own_lists"], context["filters"])
    if htmx and not htmx.history_restore_request:
        return render(request, "worklist/_studies.html", context)
    bundle = rows.active_bundle(context["bundles"])
    context |= {
        "active_bundle": bundle,
        "verdicts": rows.verdict_choices(bundle),
        "body_parts": rows.body_part_choices(bundle),
        "states": rows.state_choices(),
        "delete_reasons": REASONS,
    }
    return render(request, "worklist/worklist.html", context)


@require_POST
@clinic_view(Permission.SEE_OWN)
def bulk_action(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """Do ``action`` to each ``study`` of one page of the list, and come back to the list of ``query``."""
    form = BulkActionForm(request.POST)
    if not form.is_valid():
        raise Http404("Not found.")
    result = act_on(request, access, form.cleaned_data["action"], form.cleaned_data["study"])
    query = QueryDict(form.cleaned_data["query"])
    if not request.htmx:
        if result.words:
            messages.add_message(request, result.level, result.words)
        return redirect(_worklist(access, query))
    request.GET = query
    context = {**list_context(request, access), "result": result}
    return render(request, "worklist/_bulk_action_done.html", context)


@require_POST
@clinic_view(Permission.SEE_OWN)
def save_view(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """Save the filters of ``query`` under ``name``; the same name again replaces the view."""
    form = SavedViewForm(request.POST)
    if form.is_valid():
        try:
            services.save_view(access=access, **form.cleaned_data)
        except services.TooManyViews as refusal:
            messages.error(request, str(refusal))
    else:
        messages.error(request, str(form.non_field_errors()[0]))
    return redirect(_worklist(access, QueryDict(form.cleaned_data.get("query", ""))))


@require_POST
@clinic_view(Permission.SEE_OWN)
def remove_view(request: PortalRequest, access: ClinicAccess, view: int) -> HttpResponse:
    """Remove one of the person's own saved views."""
    get_object_or_404(SavedView, pk=view, user=access.user, clinic=access.clinic).delete()
    return redirect("worklist", clinic=access.clinic.slug)


def _worklist(access: ClinicAccess, query: QueryDict) -> str:
    canonical = address_query(Filters.read(query), query.get("page", ""))
    return reverse("worklist", args=[access.clinic.slug]) + (f"?{canonical}" if canonical else "")
