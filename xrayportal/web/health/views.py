"""Health endpoints for load balancers and monitors: no sign-in, no patient content."""

from __future__ import annotations

import os

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from xrayportal.operations import health
from xrayportal.operations.metrics import DatabaseCollector


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process lives; nothing else is checked."""
    return HttpResponse("ok\n", content_type="text/plain; charset=utf-8")


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 if this web process can serve pages, else 503; broker and workers do not count."""
    return _answer(health.readiness())


@login_not_required
@never_cache
@require_safe
def statusz(request: HttpRequest) -> JsonResponse:
    """200 if a study sent now would be analysed, else 503, where ``missing`` names what does not work.

    ``degraded`` names what does not work and can be done without for a while.
    """
    return _answer(health.status())


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures for Prometheus, if ``METRICS_TOKEN`` is sent; for everybody else there is no such page."""
    wanted = f"Bearer {settings.METRICS_TOKEN}".encode()
    given = request.headers.get("Authorization", "").encode()
    if not settings.METRICS_TOKEN or not constant_time_compare(given, wanted):
        return HttpResponseNotFound("Not found.\n", content_type="text/plain; charset=utf-8")
    collectors = CollectorRegistry()
    collectors.register(DatabaseCollector())
    body = generate_latest(collectors) + generate_latest(_of_requests())
    return HttpResponse(body, content_type=CONTENT_TYPE_LATEST)


def _of_requests() -> CollectorRegistry:
    """What all web processes measured, where gunicorn.conf.py gave them a folder for it; else this one."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # it has no types
    return together


def _answer(services: dict[str, health.Service]) -> JsonResponse:
    missing, degraded = health.missing(services), health.degraded(services)
    status = "unavailable" if missing else "degraded" if degraded else "ok"
    body = {"status": status, "missing": missing, "degraded": degraded, "services": services}
    response = JsonResponse(body, status=503 if missing else 200)
    # A monitor that asks every few seconds gets its answer; the log is for errors of the portal.
    response._has_been_logged = True  # type: ignore[attr-defined]  # what Django's handler looks at
    return response
