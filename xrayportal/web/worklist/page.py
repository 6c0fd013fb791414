"""The context of the worklist page: the list for the filters of the address, its tabs, its version."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.paginator import Page
from django.http import QueryDict
from django.template.loader import render_to_string

from xrayportal.access import ClinicAccess, PortalRequest
from xrayportal.analyses.models import Bundle
from xrayportal.audit.models import AuditHead
from xrayportal.prepared import Prepared
from xrayportal.reviews.blind import reads_blind
from xrayportal.web.shared import polling
from xrayportal.web.shared.polling import Version
from xrayportal.web.worklist import rows
from xrayportal.web.worklist.own_lists import OwnLists, own_lists, start_of
from xrayportal.web.worklist.study_row import rendered, row_of
from xrayportal.worklist.counts import count_words, tab_counts
from xrayportal.worklist.models import SavedView
from xrayportal.worklist.order import ORDERS
from xrayportal.worklist.tabs import TABS, tabs_of

#: Without any event of the clinic the list still changes: relative times, and studies that waited too long.
LOOK_AGAIN_SECONDS = 60


#: Digits of a page's number: the list ends at ``rows.COUNTED``.
_LONGEST_NUMBER = 6
#: Asked by every poll of a list.
_NEWEST_EVENT = Prepared(
    lambda clinic: AuditHead.objects.filter(clinic=clinic).values_list("number"), clinic=uuid.uuid4()
)


@dataclass(frozen=True)
class Tab:
    """A link to a tab, a saved view or an order."""

    word: str
    query: str
    is_current: bool
    view: SavedView | None = None
    #: Studies in a tab that is work to be done, in figures; empty for none and for other links.
    count: str = ""


def list_context(request: PortalRequest, access: ClinicAccess, clock: str = "") -> dict[str, Any]:
    """The context of ``worklist/_studies.html`` for the filters of the address, or the remembered ones.

    ``clock`` is that of ``clock_of``, if the caller knows it already. Changes ``request.GET`` to the
    canonical query of the list.
    """
    clock = clock or clock_of(access)
    own = own_lists(access)
    filters = own.asked_for(request.GET)
    page = rows.worklist_page(access, filters, request.GET.get("page"))
    bundles = rows.bundles_of(page)
    query = address_query(filters, str(page.number))
    # The links of the list are made of the query: one list has one address, whatever led to it.
    request.GET = QueryDict(query)
    html = _list_html(request, access, filters, page, bundles)
    tabs, views, start = _tabs(access, filters), _views(own, filters), start_of(access)
    return {
        "own_lists": own,
        "bundles": bundles,
        "filters": filters,
        "page": page,
        "list": html,
        "query": query,
        "version": Version.of_html(html, clock),
        "tabs": tabs,
        "views": views,
        "is_saved": any(view.is_current for view in views),
        "start_query": "" if filters == start else start.query,
        "sorts": [
            Tab(str(word), filters.with_sort(code).query, filters.sort == code)
            for code, word in ORDERS.items()
        ],
        "sort": ORDERS[filters.sort],
        "longest_wait": f"{settings.LONGEST_WAIT_HOURS:g}",
        "hides": reads_blind(access),
        # A superuser who was given a look changes nothing here.
        "may_start": access.granted_until is None,
    }


def _list_html(
    request: PortalRequest,
    access: ClinicAccess,
    filters: rows.Filters,
    page: Page[rows.ListedStudy],
    bundles: Mapping[int, Bundle],
) -> str:
    """The rows with what stands above and below them: all that the list's version is made of."""
    context = {
        "filters": filters,
        "page": page,
        "rows": [rendered(row_of(access, study, bundles)) for study in page],
        # Only an empty list asks whether the filters made it so.
        "is_filtered": filters.any and not page.object_list and access.studies().exists(),
        "all_query": rows.Filters(sort=filters.sort).query,
        "search_all_query": rows.Filters(text=filters.text, sort=filters.sort).query,
    }
    return render_to_string("worklist/_list.html", context, request)


def address_query(filters: rows.Filters, page: str) -> str:
    """The canonical query of these filters and this page; the first page has no number."""
    number = page_number(page)
    return f"{filters.query}&page={number}" if number > 1 else filters.query


def page_number(text: str) -> int:
    """The number of a page from an address; 1 for any text that names none that there may be."""
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else 1


def clock_of(access: ClinicAccess) -> str:
    """A text that changes with every event of the clinic, and every ``LOOK_AGAIN_SECONDS``; one query."""
    rows = _NEWEST_EVENT.rows(clinic=access.clinic.pk)
    return f"{rows[0][0] if rows else 0}-{polling.clock_every(LOOK_AGAIN_SECONDS)}"


def _tabs(access: ClinicAccess, filters: rows.Filters) -> list[Tab]:
    """The tabs of this person, all studies first; each keeps the other filters, its count none of them."""
    counts = tab_counts(access)
    codes = ["", *tabs_of(access)]
    words = {"": rows.ALL, **{code: word for code, (word, _is_for_readers) in TABS.items()}}
    return [
        Tab(
            str(words[code]),
            filters.with_list(code).query,
            filters.list == code,
            count=count_words(counts.get(code, 0)),
        )
        for code in codes
    ]


def _views(own: OwnLists, filters: rows.Filters) -> list[Tab]:
    return [Tab(view.name, view.query, view.query == filters.query, view) for view in own.views]
