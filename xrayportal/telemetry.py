"""What every request leaves behind: an id on its log lines, and its time in the metrics."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import Histogram

from xrayportal.logs import log_context

#: What a proxy may send as the id of a request.
_ID = re.compile(r"[0-9A-Za-z._-]{8,64}\Z")

#: By the view's name: addresses hold ids. In several processes together, see gunicorn.conf.py.
REQUESTS = Histogram(
    "xray_http_request_seconds",
    "Seconds from the first to the last of a request's middleware.",
    ("view", "method", "status"),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class RequestMiddleware:
    """Gives each request an id, ``X-Request-ID`` of a proxy of ours or a new one, and measures it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.headers.get("X-Request-ID", "") if settings.TRUSTED_PROXIES else ""
        request_id = sent if _ID.match(sent) else uuid.uuid4().hex
        start = time.perf_counter()
        with log_context(request_id=request_id):
            response = self.get_response(request)
        seconds = time.perf_counter() - start
        match = request.resolver_match
        # An address that leads nowhere has no name, and a method may be any word: neither makes new series.
        view = (match.view_name if match else "") or "none"
        method = request.method if request.method in _METHODS else "other"
        REQUESTS.labels(view, method, f"{response.status_code // 100}xx").observe(seconds)
        response.headers["X-Request-ID"] = request_id
        return response
