"""Answers probes before anything that a probe has no part in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import resolve

_PROBES = {"/healthz", "/readyz", "/statusz", "/metrics"}


class ProbeMiddleware:
    """Calls the view of a probe at once: no session, no language, and whatever name it asks by.

    Load balancers, kubelets and Prometheus ask a process by its address, which is not among the names that
    people reach the portal by.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info not in _PROBES:
            return self.get_response(request)
        request.resolver_match = resolve(request.path_info)
        view: Callable[[HttpRequest], Any] = request.resolver_match.func
        response: HttpResponse = view(request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response
