"""Results of a submission to take away. POST, because each export is an event of the audit."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

from xrayportal.access import Permit, Seat, clinic_view
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.security import client_address
from xrayportal.studies.models import Submission
from xrayportal.worklist.results import result_lines, result_zip


@require_POST
@clinic_view(Permit.SEE_OWN)
def submission_results(request: HttpRequest, seat: Seat, submission: uuid.UUID) -> StreamingHttpResponse:
    """A line a study."""
    found = _exported(request, seat, submission, "csv")
    return _attachment(result_lines(seat, found), "results.csv", "text/csv; charset=utf-8")


@require_POST
@clinic_view(Permit.SEE_OWN)
def submission_pictures(request: HttpRequest, seat: Seat, submission: uuid.UUID) -> StreamingHttpResponse:
    """The same, with every view and its heatmap."""
    found = _exported(request, seat, submission, "zip")
    return _attachment(result_zip(seat, found), "results.zip", "application/zip")


def _exported(request: HttpRequest, seat: Seat, pk: uuid.UUID, kind: str) -> Submission:
    found = get_object_or_404(seat.submissions(), pk=pk)
    record(
        clinic=seat.clinic,
        action=Action.EXPORTED,
        actor=seat.user,
        target=found,
        detail={"kind": f"submission-{kind}"},
        address=client_address(request),
    )
    return found


def _attachment(
    content: Iterator[str] | Iterator[bytes], name: str, media_type: str
) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        content,
        content_type=media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "private, no-store",
        },
    )
