"""The admin's history of past predictions and its export."""

from __future__ import annotations

from django.db.models import Exists, OuterRef
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.models import User
from xrayportal.reviews.blind import reads_blind
from xrayportal.reviews.export import history_lines
from xrayportal.reviews.history import (
    BASES,
    COUNTED,
    REVIEW_STATUSES,
    Cursor,
    Filters,
    counted,
    matching_studies,
    page_of,
    periods_of,
    results_of,
)
from xrayportal.reviews.models import Review
from xrayportal.web.history.rows import rendered, rows_of
from xrayportal.web.shared.addresses import study_addresses
from xrayportal.web.shared.attachment import attachment
from xrayportal.web.worklist.rows import active_bundle, body_part_choices, reader_choices, verdict_choices


@require_safe
@clinic_view(Permission.MANAGE)
def history(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """The page of past predictions with the readers' reviews of them."""
    is_part = request.htmx and not request.htmx.history_restore_request
    filters = Filters.read(request.GET)
    studies, count = counted(matching_studies(access, filters))
    page = page_of(
        studies,
        before=Cursor.read(request.GET.get("before", "")),
        after=Cursor.read(request.GET.get("after", "")),
    )
    # Not DISTINCT over a join: that would read every analysis for a handful of names.
    analyses = Analysis.objects.filter(bundle=OuterRef("pk"), clinic=access.clinic)
    bundles = list(Bundle.objects.filter(Exists(analyses)).order_by("-registered_at"))
    by_id = {bundle.pk: bundle for bundle in bundles}
    active, rows = active_bundle(by_id), rows_of(access.clinic, page.studies, filters, by_id)
    reviews = Review.objects.filter(reader=OuterRef("pk"), clinic=access.clinic)
    return render(
        request,
        # The filters bring the rows alone; a page that the browser goes back to is whole.
        "history/_list.html" if is_part else "history/history.html",
        {
            "periods": periods_of(access.clinic, filters.period),
            "access": access,
            "filters": filters,
            "page": page,
            "rows": rows,
            "rendered": rendered(rows),
            "count": count,
            "is_capped": count == COUNTED,
            "hides": reads_blind(access),
            "verdicts": verdict_choices(active),
            "reader_verdicts": reader_choices(active),
            "body_parts": body_part_choices(active),
            "bundles": bundles,
            "people": User.objects.filter(Exists(reviews)).order_by("email"),
            "review_statuses": REVIEW_STATUSES.items(),
            "bases": BASES.items(),
        },
    )


@require_POST
@clinic_view(Permission.MANAGE)
def history_export(request: PortalRequest, access: ClinicAccess) -> StreamingHttpResponse:
    """All pages of the same filters as CSV. A POST, because each export is audited."""
    filters = Filters.read(request.GET)
    record(
        clinic=access.clinic,
        action=Action.EXPORTED,
        actor=access.actor,
        detail={"kind": "history", "filters": filters.names},
    )
    lines = history_lines(
        results_of(matching_studies(access, filters), filters),
        clinic=access.clinic,
        address_of=study_addresses(request, access.clinic),
    )
    return attachment(lines, filename="history.csv", media_type="text/csv; charset=utf-8")
