"""What every response and request passes through: content policy, sign-in wall, the caller's address."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import resolve_url
from django.utils.http import urlencode
from django.utils.translation import gettext as _

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


class ContentSecurityPolicyMiddleware:
    """Our own origin only, no inline script, no inline style; Django's admin included."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        return response


class SignInRequiredMiddleware(LoginRequiredMiddleware):
    """Everything needs a sign-in; a fragment or a script is told so in a form that it can use.

    A redirect to the sign-in page would be followed silently and end up inside the fragment.
    """

    def handle_no_permission(  # type: ignore[override]  # any response does; the stubs know the redirect only
        self, request: HttpRequest, view_func: Callable[..., HttpResponseBase]
    ) -> HttpResponseBase:
        if request.headers.get("HX-Request") == "true":
            return HttpResponse(status=204, headers={"HX-Redirect": _sign_in_address(request)})
        if wants_json(request):
            sentence = _("Your session has ended. Sign in again.")
            return JsonResponse(
                {"sentence": sentence, "sign_in": resolve_url(settings.LOGIN_URL)}, status=401
            )
        return super().handle_no_permission(request, view_func)


def _sign_in_address(request: HttpRequest) -> str:
    """The sign-in page, then back to the page that the fragment was on."""
    page = urlsplit(request.headers.get("HX-Current-URL", ""))
    back = page._replace(scheme="", netloc="", fragment="").geturl() or "/"
    return f"{resolve_url(settings.LOGIN_URL)}?{urlencode({'next': back})}"


def wants_json(request: HttpRequest) -> bool:
    """A script asks, not a person's browser."""
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def client_address(request: HttpRequest) -> str | None:
    """Where the request came from, believing as many proxies as are ours (``TRUSTED_PROXIES``)."""
    address: Any = request.META.get("REMOTE_ADDR")
    proxies: int = settings.TRUSTED_PROXIES
    if proxies > 0:
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
        # Each proxy of ours appended the address it saw; what stands further left anybody can claim.
        if len(hops) >= proxies:
            address = hops[-proxies]
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return None  # a Unix socket has no address, and a proxy may say "unknown"
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
