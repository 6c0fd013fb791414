"""The worklist: whole, as a list for another filter, and as a poll; bulk actions and saved views."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers
from django_htmx.http import trigger_client_event

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.analyses.models import Bundle
from xrayportal.intake.deletion import REASONS
from xrayportal.web.worklist import rows
from xrayportal.web.worklist.bulk_action import act_on
from xrayportal.web.worklist.page import address_query, clock_of, list_context
from xrayportal.web.worklist.rows import PER_PAGE, Filters
from xrayportal.worklist.models import SavedView

MOST_VIEWS = 20


#: In an address a letter of another script takes nine characters or twelve.
LONGEST_QUERY = 500


@require_safe
@vary_on_headers("HX-Request")
@clinic_view(Permission.SEE_OWN)
def worklist(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """The studies that this person may see, filtered by the address; only the list for a change of filter.

    With ``?seen=`` of an earlier answer: 204 while the list reads the same. As long as nothing happened
    in the clinic that takes one query, the number of its newest event.
    """
    htmx = request.htmx
    seen = request.GET.get("seen", "") if htmx else ""
    clock = clock_of(access)
    if seen and seen.rpartition(".")[0] == clock:
        return HttpResponse(status=204)
    context = list_context(request, access, clock)
    if seen and seen.rpartition(".")[2] == context["version"].rpartition(".")[2]:
        # The same list at a later hour: the browser notes the hour.
        return trigger_client_event(HttpResponse(status=204), "list-unchanged", {"value": context["version"]})
    if htmx and not htmx.history_restore_request:
        return render(request, "worklist/_studies.html", context)
    bundle = Bundle.objects.active().first()
    context |= {
        "verdicts": rows.verdict_choices(bundle),
        "body_parts": rows.body_part_choices(bundle),
        "states": rows.state_choices(),
        "delete_reasons": REASONS,
    }
    return render(request, "worklist/worklist.html", context)


@require_POST
@clinic_view(Permission.SEE_OWN)
def bulk_action(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """``action`` on each ``study`` of one page of the list; ``query`` is the list to come back to."""
    ids = _ids(request.POST.getlist("study"))
    done = act_on(request, access, request.POST.get("action", ""), ids)
    query = QueryDict(request.POST.get("query", "")[:1000])
    if not request.htmx:
        if done.words:
            messages.add_message(request, done.level, done.words)
        return redirect(_worklist(access, query))
    request.GET = query
    context = {**list_context(request, access), "done": done}
    return render(request, "worklist/_bulk_action_done.html", context)


@require_POST
@clinic_view(Permission.SEE_OWN)
def save_view(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """Keep the filters of ``query`` under ``name``; the same name again replaces it."""
    filters = Filters.read(QueryDict(request.POST.get("query", "").removeprefix("?")[:1000]))
    name = " ".join(request.POST.get("name", "").replace("\0", "").split())[:40]
    mine = SavedView.objects.filter(user=access.user, clinic=access.clinic)
    if not name or not filters.query:
        messages.error(request, gettext("Choose a filter first, and give the view a name."))
    elif len(filters.query) > LONGEST_QUERY:
        messages.error(request, gettext("This filter is too long to be kept. Shorten the text."))
    elif mine.exclude(name=name).count() >= MOST_VIEWS:
        messages.error(request, gettext("You have saved 20 views. Remove one first."))
    else:
        SavedView.objects.update_or_create(
            user=access.user, clinic=access.clinic, name=name, defaults={"query": filters.query}
        )
    return redirect(_worklist(access, QueryDict(filters.query)))


@require_POST
@clinic_view(Permission.SEE_OWN)
def remove_view(request: PortalRequest, access: ClinicAccess, view: int) -> HttpResponse:
    """Forget one of the person's own views."""
    get_object_or_404(SavedView, pk=view, user=access.user, clinic=access.clinic).delete()
    return redirect("worklist", clinic=access.clinic.slug)


def _ids(texts: Sequence[str]) -> list[uuid.UUID]:
    """The ids among them, one page's worth at most; nonsense is left out."""
    found = []
    for text in texts[:PER_PAGE]:
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue
    return found


def _worklist(access: ClinicAccess, query: QueryDict) -> str:
    kept = address_query(Filters.read(query), query.get("page", ""))
    return reverse("worklist", args=[access.clinic.slug]) + (f"?{kept}" if kept else "")
