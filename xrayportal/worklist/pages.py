"""The worklist: whole, as a list for another filter, and as a poll that says nothing when nothing changed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers
from django_htmx.middleware import HtmxDetails

from xrayportal.access import Permit, Seat, clinic_view
from xrayportal.analyses.models import Bundle
from xrayportal.audit.models import AuditHead
from xrayportal.intake.deletion import REASONS
from xrayportal.pages import worklist as rows
from xrayportal.pages.study_row import rendered, row_of
from xrayportal.reviews.blind import reads_blind
from xrayportal.worklist import lists
from xrayportal.worklist.models import SavedView

#: Without any event of the clinic the list still ages: relative times, and what has waited too long.
LOOK_AGAIN_SECONDS = 60


@dataclass(frozen=True)
class Tab:
    """One of the lists, or a saved view, as a link."""

    word: str
    query: str
    is_current: bool
    view: SavedView | None = None


@require_safe
@vary_on_headers("HX-Request")
@clinic_view(Permit.SEE_OWN)
def worklist(request: HttpRequest, seat: Seat) -> HttpResponse:
    """The studies that this person may see, filtered by the address; only the list for a change of filter.

    With ``?seen=`` of an earlier answer: 204 while the list reads the same. As long as nothing happened
    in the clinic that takes one query, the number of its newest event.
    """
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]  # set by django_htmx
    seen = request.GET.get("seen", "") if htmx else ""
    clock = _clock(seat)
    if seen and seen.rpartition(".")[0] == clock:
        return HttpResponse(status=204)
    context = list_context(request, seat, clock)
    if seen and seen.rpartition(".")[2] == context["version"].rpartition(".")[2]:
        # The same list at a later hour: the browser notes the hour.
        return HttpResponse(
            status=204, headers={"HX-Trigger": json.dumps({"list-unchanged": context["version"]})}
        )
    if htmx and not htmx.history_restore_request:
        return render(request, "studies/_studies.html", context)
    bundle = Bundle.objects.filter(is_active=True).first()
    context |= {
        "verdicts": rows.verdict_choices(bundle),
        "parts": rows.part_choices(bundle),
        "states": rows.state_choices(),
        "delete_reasons": REASONS,
    }
    return render(request, "studies/worklist.html", context)


def list_context(request: HttpRequest, seat: Seat, clock: str = "") -> dict[str, Any]:
    """What ``studies/_studies.html`` needs, for the filters in the address."""
    clock = clock or _clock(seat)
    filters = rows.Filters.read(request.GET)
    page = rows.worklist_page(seat, filters, request.GET.get("page"))
    query = address_query(filters, str(page.number))
    # The links of the list are made of it; one list has one address, whatever led to it.
    request.GET = QueryDict(query)
    shown = [rendered(row_of(seat, study)) for study in page]
    listed = render_to_string(
        "studies/_list.html", {"filters": filters, "page": page, "rows": shown}, request
    )
    digest = hashlib.sha256(listed.encode()).hexdigest()[:16]
    tabs, views = _tabs(seat, filters), _views(seat, filters)
    return {
        "filters": filters,
        "page": page,
        "list": listed,
        "query": query,
        "version": f"{clock}.{digest}",
        "tabs": tabs,
        "views": views,
        "is_saved": any(view.is_current for view in views),
        "sorts": [
            Tab(str(word), filters.with_sort(code).query, filters.sort == code)
            for code, word in lists.SORTS.items()
        ],
        "sort": lists.SORTS[filters.sort],
        "longest_wait": f"{settings.LONGEST_WAIT_HOURS:g}",
        "hides": reads_blind(seat),
    }


def address_query(filters: rows.Filters, page: str) -> str:
    """The one query that stands for these filters and this page."""
    query, number = filters.query, page if page.isascii() and page.isdigit() and page != "1" else ""
    return "&".join(filter(None, [query, f"page={number}" if number else ""]))


def _clock(seat: Seat) -> str:
    """Changes when anything happens in the clinic, and every minute."""
    head = AuditHead.objects.filter(clinic=seat.clinic).values_list("number", flat=True).first()
    return f"{head or 0}-{int(timezone.now().timestamp()) // LOOK_AGAIN_SECONDS}"


def _tabs(seat: Seat, filters: rows.Filters) -> list[Tab]:
    """All studies and the lists of this person; the other filters stay."""
    codes = ["", *lists.available(seat)]
    words = {"": rows.ALL, **{code: word for code, (word, _reading) in lists.LISTS.items()}}
    return [Tab(str(words[code]), filters.with_list(code).query, filters.list == code) for code in codes]


def _views(seat: Seat, filters: rows.Filters) -> list[Tab]:
    saved = SavedView.objects.filter(user=seat.user, clinic=seat.clinic)
    return [Tab(view.name, view.query, view.query == filters.query, view) for view in saved]
