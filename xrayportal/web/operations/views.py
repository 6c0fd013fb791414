"""The operations page: the platform's for superusers, a clinic's for its admins. No patient content."""

from __future__ import annotations

import functools
import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.contrib import messages
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.analyses.bundles import NoActiveBundleError
from xrayportal.analyses.models import Analysis
from xrayportal.analyses.services import UnknownBodyPartError, request_analysis
from xrayportal.analyses.workers import live_workers
from xrayportal.audit.anchors import Anchor, stored_anchors
from xrayportal.audit.models import AuditHead
from xrayportal.audit.services import check
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic, User
from xrayportal.operations import figures, health
from xrayportal.security import client_address
from xrayportal.studies.models import Study
from xrayportal.web.shared.deleted import message_if_deleted
from xrayportal.web.shared.polling import Version, seen_version, unchanged

logger = logging.getLogger(__name__)

#: Longer chains are verified by the command, which no request waits for.
CHECKED_HERE = 50_000
#: Every open page polls, and a Redis that does not answer costs a second.
_BROKER_SECONDS = 5


def platform_view(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Decorator for ``view(request, …)`` of superusers; everybody else gets a 404."""

    @functools.wraps(view)
    def wrapper(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if not (isinstance(request.user, User) and request.user.is_superuser):
            raise Http404("Not found.")
        return view(request, **kwargs)

    return wrapper


@require_safe
@platform_view
def operations(request: HttpRequest) -> HttpResponse:
    """The operations page of the whole platform."""
    return _page(request, None)


@require_safe
@clinic_view(Permission.MANAGE)
def clinic_operations(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """The operations page of one clinic."""
    return _page(request, access.clinic)


@require_POST
@platform_view
def operations_retry(request: PortalRequest, analysis: uuid.UUID) -> HttpResponse:
    """Request a failed analysis of any clinic again."""
    return _retry(request, Analysis.objects.filter(pk=analysis).first(), None, reverse("operations"))


@require_POST
@clinic_view(Permission.MANAGE)
def clinic_operations_retry(
    request: PortalRequest, access: ClinicAccess, analysis: uuid.UUID
) -> HttpResponse:
    """Request a failed analysis of this clinic again."""
    back = reverse("clinic-operations", args=[access.clinic.slug])
    return _retry(request, access.analyses().filter(pk=analysis).first(), access.clinic, back)


@require_POST
@platform_view
def operations_verify(request: HttpRequest) -> HttpResponse:
    """Verify every chain that is short enough to wait for."""
    _verify_all(request, AuditHead.objects.select_related("clinic"))
    return redirect("operations")


@require_POST
@clinic_view(Permission.MANAGE)
def clinic_operations_verify(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """Verify the clinic's chain."""
    _verify_all(request, AuditHead.objects.filter(clinic=access.clinic))
    return redirect("clinic-operations", clinic=access.clinic.slug)


def _page(request: HttpRequest, clinic: Clinic | None) -> HttpResponse:
    """The page, or for a poll the fragment with its figures; 204 while the screen shows the same ones."""
    html = render_to_string("operations/_figures.html", _context(clinic), request)
    version, seen = Version.of_html(html), seen_version(request)
    if seen == version:
        return unchanged()
    context = {"figures": html, "version": version, "clinic": clinic}
    return render(request, f"operations/{'operations' if seen is None else '_live'}.html", context)


def _context(clinic: Clinic | None) -> dict[str, Any]:
    return {
        "clinic": clinic,
        "queues": figures.queues_of(clinic),
        "workers": list(live_workers().order_by("started_at", "pk")),
        "reconciler": health.reconciler(),
        "dicom_node": health.dicom_node(),
        "broker": _broker(),
        "file_storage": health.storage(),
        "throughput": figures.throughput_of(clinic),
        "latency": figures.latency_of(clinic),
        "kinds": figures.kinds_of(clinic),
        "failures": figures.failures_of(clinic)[: figures.FAILURES_SHOWN],
        "storage": figures.storage_of(clinic),
        "chains": figures.chains_of(clinic),
    }


def _broker() -> health.Service:
    broker: health.Service | None = cache.get("operations.broker")
    if broker is None:
        broker = health.broker()
        cache.set("operations.broker", broker, _BROKER_SECONDS)
    return broker


def _retry(request: PortalRequest, failed: Analysis | None, clinic: Clinic | None, back: str) -> HttpResponse:
    if failed is None and message_if_deleted(request, clinic=clinic):
        return redirect(back)
    if failed is None or failed.state != Analysis.State.FAILED:
        raise Http404("Not found.")
    user = request.user
    try:
        request_analysis(
            study=failed.study,
            actor=Actor(user if isinstance(user, User) else None, client_address(request)),
            purpose=failed.purpose,
            forced_body_part=failed.forced_body_part,
        )
    except (NoActiveBundleError, UnknownBodyPartError) as error:
        messages.error(request, str(error))
    except Study.DoesNotExist:
        messages.error(request, _("This study was deleted."))
    else:
        messages.success(request, _("The study will be analysed again."))
    return redirect(back)


def _verify_all(request: HttpRequest, heads: Iterable[AuditHead]) -> None:
    """Verify these chains, also against the anchors that are stored."""
    try:
        anchors = stored_anchors()
    except Exception:  # each storage has its own errors
        logger.exception("The stored audit anchors cannot be read")
        messages.error(request, _("The anchors of the audit log cannot be read, so nothing was verified."))
        return
    for head in heads:
        _verify(request, head, anchors)


def _verify(request: HttpRequest, head: AuditHead, anchors: Sequence[Anchor]) -> None:
    name = head.clinic.name if head.clinic else _("Platform")
    if head.number > CHECKED_HERE:
        sentence = _("The audit chain of %(name)s is too long to verify here. Run manage.py verify_audit.")
        messages.warning(request, sentence % {"name": name})
        return
    state = check(clinic=head.clinic, anchors=anchors)
    if state.is_whole:
        words = ngettext(
            "%(name)s: %(n)d event, the chain is intact.",
            "%(name)s: %(n)d events, the chain is intact.",
            state.length,
        )
        sentence = words % {"name": name, "n": state.length}
        if state.anchors:
            confirmed = ngettext("%d anchor confirms it.", "%d anchors confirm it.", state.anchors)
            sentence = f"{sentence} {confirmed % state.anchors}"
        messages.success(request, sentence)
    else:
        words = _("%(name)s: the chain is broken at event %(n)d.")
        messages.error(request, words % {"name": name, "n": state.broken_at})
