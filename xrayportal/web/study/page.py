"""The study page: whole, or as the part that takes the place of the study before it in a reading session."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from xrayportal.access import ClinicAccess, PortalRequest
from xrayportal.intake.deletion import REASONS, may_delete
from xrayportal.web.dicom.deliveries import deliveries_of
from xrayportal.web.study.ahead import studies_ahead, views_ahead
from xrayportal.web.study.earlier import earlier_of, later_parts
from xrayportal.web.study.forms import CorrectionForm
from xrayportal.web.study.history import history_of
from xrayportal.web.study.result import (
    StudyResult,
    active_bundle_of,
    known_body_parts_of,
    result_of,
    study_or_404,
    title_of,
)
from xrayportal.worklist.reading import place_of
from xrayportal.worklist.services import mark_read


def study_page_of(
    request: PortalRequest,
    access: ClinicAccess,
    study: uuid.UUID,
    *,
    reading: str | None,
    view: str | None = None,
    beside: str | None = None,
    **context: Any,
) -> HttpResponse:
    """The page of one study as an answer; for htmx the part that changes from study to study.

    It is audited who looked at the study, and whether the page showed them the prediction. ``reading`` is the
    id of a reading session, ``view`` and ``beside`` are as in ``result_of``. Http404.
    """
    row = study_or_404(access, study)
    place = place_of(access, reading, row.pk)
    result = result_of(access, row, view, beside, str(place.session.pk) if place else None)
    note_looks(access, result)
    mark_read(access, [row.pk])
    earlier = earlier_of(access, row)
    active = active_bundle_of(row)
    context |= {
        "active_bundle": active,
        "base": base_template(request),
        "study": row,
        "title": title_of(row),
        "result": result,
        "place": place,
        "reading": result.reading,
        "views_ahead": views_ahead(access, result),
        "studies_ahead": studies_ahead(access, place.ahead) if place else "",
        "history": history_of(access, row) if "history" in request.GET else None,
        "earlier": earlier,
        "later_parts": later_parts(row, earlier),
        "deliveries": deliveries_of(access, row),
        "may_delete": may_delete(access, row),
        "delete_reasons": REASONS,
        "correction": CorrectionForm(
            {"patient_reference": row.patient_reference, "stated_body_part": row.stated_body_part},
            body_parts=known_body_parts_of(row, active),
        ),
    }
    return render(request, "study/study.html", context)


def note_looks(access: ClinicAccess, result: StudyResult) -> None:
    """Audit the look at the study, and at the one beside it."""
    access.note_look(result.study, revealed=result.shows_prediction)
    if result.comparison:
        access.note_look(result.comparison.study, revealed=result.comparison.revealed)


def base_template(request: PortalRequest) -> str:
    """What the page extends: the whole frame, or for htmx what stands beside the sidebar."""
    htmx = request.htmx
    return "base_swap.html" if htmx and not htmx.history_restore_request else "base.html"


def study_address(access: ClinicAccess, study: uuid.UUID, reading: uuid.UUID | None = None) -> str:
    """The address of a study's page, in a reading session if one is named."""
    address = reverse("study", args=[access.clinic.slug, study])
    return f"{address}?reading={reading}" if reading else address
