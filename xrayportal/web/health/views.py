"""Health endpoints for load balancers and monitors: no sign-in, no patient content."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from xrayportal.operations import health


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
    """200 if a study sent now would be analysed, else 503, where ``missing`` names what does not work."""
    return _answer(health.status())


def _answer(services: dict[str, health.Service]) -> JsonResponse:
    missing = health.missing(services)
    body = {"status": "unavailable" if missing else "ok", "missing": missing, "services": services}
    response = JsonResponse(body, status=503 if missing else 200)
    # A monitor that asks every few seconds gets its answer; the log is for errors of the portal.
    response._has_been_logged = True  # type: ignore[attr-defined]  # what Django's handler looks at
    return response
