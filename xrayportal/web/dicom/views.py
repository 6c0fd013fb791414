"""A clinic's DICOM settings, and the deliveries of a study's result."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db import IntegrityError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.dicom import deliveries, services
from xrayportal.dicom.identifiers import return_settings
from xrayportal.dicom.models import Caller, Delivery, Destination, Listener
from xrayportal.operations import health
from xrayportal.web.dicom.connections import ShownConnection
from xrayportal.web.dicom.deliveries import deliveries_of, newest_of
from xrayportal.web.dicom.forms import CallerForm, DestinationForm, ListenerForm, ReturnsForm
from xrayportal.web.shared.deleted import handle_deleted_study
from xrayportal.web.shared.fields import REFUSED

Rows = type[Listener] | type[Caller] | type[Destination]
_KINDS: dict[str, tuple[Rows, type[ListenerForm] | type[CallerForm] | type[DestinationForm]]] = {
    "listeners": (Listener, ListenerForm),
    "callers": (Caller, CallerForm),
    "destinations": (Destination, DestinationForm),
}


@require_http_methods(["GET", "HEAD", "POST"])
@clinic_view(Permission.MANAGE)
def dicom_settings(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """The page; a POST changes what is sent back, and when."""
    if request.method != "POST":
        return _page(request, access)
    form = ReturnsForm(request.POST, instance=return_settings(access.clinic))
    if not form.is_valid():
        return _page(request, access, returns=form)
    services.change_returns(form.save(commit=False), actor=access.actor, changed=form.changed_data)
    messages.success(request, _("Saved."))
    return redirect("dicom-settings", access.clinic.slug)


@require_POST
@clinic_view(Permission.MANAGE)
def dicom_add(request: PortalRequest, access: ClinicAccess, kind: str) -> HttpResponse:
    """Add an AE title, a caller or a destination."""
    if kind not in _KINDS:
        raise Http404("Not found.")
    model, form_class = _KINDS[kind]
    form: Any = form_class(request.POST, instance=model(clinic=access.clinic))
    if not form.is_valid():
        return _page(request, access, **{kind: form})
    row = form.save(commit=False)
    try:
        services.add(row, actor=access.actor, authorization=form.cleaned_data.get("authorization", ""))
    except IntegrityError:  # the same came a moment before: now the form says so
        again: Any = form_class(request.POST, instance=model(clinic=access.clinic))
        if again.is_valid():
            raise
        return _page(request, access, **{kind: again})
    messages.success(request, _("%(what)s was added.") % {"what": row})
    return redirect("dicom-settings", access.clinic.slug)


@require_POST
@clinic_view(Permission.MANAGE)
def dicom_remove(request: PortalRequest, access: ClinicAccess, kind: str, row: uuid.UUID) -> HttpResponse:
    """Remove one of them."""
    if kind not in _KINDS:
        raise Http404("Not found.")
    model: Any = _KINDS[kind][0]
    found = get_object_or_404(model.objects.filter(clinic=access.clinic).select_related("clinic"), pk=row)
    services.remove(found, actor=access.actor)
    messages.success(request, _("%(what)s was removed.") % {"what": found})
    return redirect("dicom-settings", access.clinic.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@clinic_view(Permission.MANAGE)
def dicom_connection(request: PortalRequest, access: ClinicAccess, destination: uuid.UUID) -> HttpResponse:
    """What the newest test of a destination's connection found; a POST asks the node for another one."""
    rows = Destination.objects.filter(clinic=access.clinic).select_related("clinic")
    row = get_object_or_404(rows, pk=destination)
    refusal = ""
    if request.method == "POST":
        try:
            services.ask_for_test(row, actor=access.actor)
        except services.TooManyTestsError:
            refusal = _("%(most)d tests a minute at most. Wait a little, then test again.") % {
                "most": services.MOST_TESTS_A_MINUTE
            }
        if not request.htmx:
            if refusal:
                messages.error(request, refusal)
            return redirect("dicom-settings", access.clinic.slug)
        row.refresh_from_db()
    return render(request, "dicom/_connection.html", {"shown": ShownConnection(row, refusal)})


@require_safe
@clinic_view(Permission.SEE_ALL)
@handle_deleted_study
def study_deliveries(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """The fragment of the study page that tells where its result was sent; polls itself until it arrived."""
    row = get_object_or_404(access.studies(), pk=study)
    return render(request, "dicom/_deliveries.html", {"study": row, "deliveries": deliveries_of(access, row)})


@require_POST
@clinic_view(Permission.SEE_ALL)
@handle_deleted_study
def delivery_retry(request: PortalRequest, access: ClinicAccess, delivery: uuid.UUID) -> HttpResponse:
    """Send a result again at once, or one that was given up."""
    row = get_object_or_404(Delivery.objects.filter(study__in=access.studies()), pk=delivery)
    deliveries.retry(row, actor=access.actor)
    return redirect("study", clinic=access.clinic.slug, study=row.study_id)


def _page(request: PortalRequest, access: ClinicAccess, **bound: Any) -> HttpResponse:
    clinic = access.clinic
    forms = {
        kind: bound.get(kind) or form_class(instance=model(clinic=clinic))
        for kind, (model, form_class) in _KINDS.items()
    }
    context = {
        "access": access,
        "returns": bound.get("returns") or ReturnsForm(instance=return_settings(clinic)),
        "listeners": Listener.objects.filter(clinic=clinic),
        "listener_form": forms["listeners"],
        "callers": Caller.objects.filter(clinic=clinic),
        "caller_form": forms["callers"],
        "destinations": newest_of(clinic),
        "destination_form": forms["destinations"],
        "networks": settings.DICOM_DESTINATION_NETWORKS,
        "node": _node(),
    }
    return render(request, "dicom/settings.html", context, status=REFUSED if bound else 200)


def _node() -> dict[str, Any]:
    """What the page says of the node: its ports, and whether it lives."""
    node = health.dicom_node()
    return {
        "port": settings.DICOM_PORT,
        "tls_port": settings.DICOM_TLS_PORT,
        "is_alive": node is not None and node["ok"],
    }
