"""Who saw this patient? The admin's page, and the same as CSV and as FHIR."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.access_report.files import report_csv, report_fhir
from xrayportal.access_report.report import LONGEST_TEXT, AccessReport, report_of
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.web.shared.attachment import attachment
from xrayportal.web.shared.fields import CutCharField

PER_PAGE = 100


@require_safe
@clinic_view(Permission.MANAGE)
def access_report(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """The page: a study's id or a patient reference (``?q=``), and who saw it, newest first."""
    text = _text(request.GET.get("q", ""))
    report = report_of(access, text) if text else None
    context: dict[str, object] = {"text": text, "report": report, "longest": LONGEST_TEXT}
    if report is not None:
        page = Paginator(report.events, PER_PAGE).get_page(request.GET.get("page"))
        context |= {"page": page, "lines": list(report.disclosures(list(page.object_list)))}
    return render(request, "access_report/access_report.html", context)


@require_POST
@clinic_view(Permission.MANAGE)
def access_report_csv(request: PortalRequest, access: ClinicAccess) -> StreamingHttpResponse:
    """The whole report of ``q`` as CSV. A POST, because each export is audited."""
    lines = report_csv(_exported(request, access, "csv"), clinic=access.clinic)
    return attachment(lines, filename="access-report.csv", media_type="text/csv; charset=utf-8")


@require_POST
@clinic_view(Permission.MANAGE)
def access_report_fhir(request: PortalRequest, access: ClinicAccess) -> StreamingHttpResponse:
    """The whole report of ``q`` as FHIR R4B: a Bundle of AuditEvents."""
    pieces = report_fhir(_exported(request, access, "fhir"), clinic=access.clinic)
    return attachment(pieces, filename="access-report.json", media_type="application/fhir+json")


def _exported(request: PortalRequest, access: ClinicAccess, form: str) -> AccessReport:
    """The report, after its export was audited without the reference. Raises Http404."""
    report = report_of(access, _text(request.POST.get("q", "")))
    if report is None:
        raise Http404("Not found.")
    record(
        clinic=access.clinic,
        action=Action.EXPORTED,
        actor=access.actor,
        detail={"kind": f"access-report-{form}", "studies": [str(study) for study in report.studies]},
    )
    return report


def _text(value: str) -> str:
    text: str = CutCharField(longest=LONGEST_TEXT).clean(value)
    return text.strip()
