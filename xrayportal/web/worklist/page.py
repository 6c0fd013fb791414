"""What the worklist page shows: the list for the filters in the address, its tabs, its version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import QueryDict
from django.template.loader import render_to_string
from django.utils import timezone

from xrayportal.access import ClinicAccess, PortalRequest
from xrayportal.audit.models import AuditHead
from xrayportal.reviews.blind import reads_blind
from xrayportal.web.shared.polling import Version
from xrayportal.web.worklist import rows
from xrayportal.web.worklist.study_row import rendered, row_of
from xrayportal.worklist.models import SavedView
from xrayportal.worklist.order import ORDERS
from xrayportal.worklist.tabs import TABS, tabs_of

#: Without any event of the clinic the list still ages: relative times, and what has waited too long.
LOOK_AGAIN_SECONDS = 60


@dataclass(frozen=True)
class Tab:
    """One of the lists, or a saved view, as a link."""

    word: str
    query: str
    is_current: bool
    view: SavedView | None = None


def list_context(request: PortalRequest, access: ClinicAccess, clock: str = "") -> dict[str, Any]:
    """What ``worklist/_studies.html`` needs, for the filters in the address."""
    clock = clock or clock_of(access)
    filters = rows.Filters.read(request.GET)
    page = rows.worklist_page(access, filters, request.GET.get("page"))
    query = address_query(filters, str(page.number))
    # The links of the list are made of it; one list has one address, whatever led to it.
    request.GET = QueryDict(query)
    html = render_to_string(
        "worklist/_list.html",
        {"filters": filters, "page": page, "rows": [rendered(row_of(access, study)) for study in page]},
        request,
    )
    tabs, views = _tabs(access, filters), _views(access, filters)
    return {
        "filters": filters,
        "page": page,
        "list": html,
        "query": query,
        "version": Version.of_html(html, clock),
        "tabs": tabs,
        "views": views,
        "is_saved": any(view.is_current for view in views),
        "sorts": [
            Tab(str(word), filters.with_sort(code).query, filters.sort == code)
            for code, word in ORDERS.items()
        ],
        "sort": ORDERS[filters.sort],
        "longest_wait": f"{settings.LONGEST_WAIT_HOURS:g}",
        "hides": reads_blind(access),
    }


def address_query(filters: rows.Filters, page: str) -> str:
    """The one query that stands for these filters and this page."""
    query, number = filters.query, page if page.isascii() and page.isdigit() and page != "1" else ""
    return "&".join(filter(None, [query, f"page={number}" if number else ""]))


def clock_of(access: ClinicAccess) -> str:
    """Changes when anything happens in the clinic, and every minute."""
    head = AuditHead.objects.filter(clinic=access.clinic).values_list("number", flat=True).first()
    return f"{head or 0}-{int(timezone.now().timestamp()) // LOOK_AGAIN_SECONDS}"


def _tabs(access: ClinicAccess, filters: rows.Filters) -> list[Tab]:
    """All studies and the lists of this person; the other filters stay."""
    codes = ["", *tabs_of(access)]
    words = {"": rows.ALL, **{code: word for code, (word, _is_for_readers) in TABS.items()}}
    return [Tab(str(words[code]), filters.with_list(code).query, filters.list == code) for code in codes]


def _views(access: ClinicAccess, filters: rows.Filters) -> list[Tab]:
    saved = SavedView.objects.filter(user=access.user, clinic=access.clinic)
    return [Tab(view.name, view.query, view.query == filters.query, view) for view in saved]
