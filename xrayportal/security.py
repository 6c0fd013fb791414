"""What every response and request passes through: headers, sign-in wall, the caller's address."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import resolve_url
from django.template.loader import render_to_string
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

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


#: What an answer says unless its view says otherwise.
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Pages name patients: nothing of them stays on a shared machine's disk or behind its Back button.
    "Cache-Control": "private, no-store",
}


class HtmxRequest(HttpRequest):
    """A request as the middleware of htmx leaves it."""

    htmx: HtmxDetails


class HeadersMiddleware:
    """Our own origin only, no inline script, no inline style, nothing kept; Django's admin included."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


class NoFilesHandler(FileUploadHandler):
    """Stops reading a form at its first file."""

    def new_file(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Nothing is written, and what is still on its way is not waited for."""
        raise StopUpload(connection_reset=True)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Never called."""

    def file_complete(self, file_size: int) -> None:
        """Never called."""


class SignInRequiredMiddleware(LoginRequiredMiddleware):
    """Everything needs a sign-in; a fragment or a script is told so in a form that it can use.

    A redirect to the sign-in page would be followed silently and end up inside the fragment.
    Stands before the CSRF check, which reads the whole form: a stranger cannot fill the disk with files.
    """

    def process_view(
        self,
        request: HttpRequest,
        view_func: Callable[..., HttpResponseBase],
        view_args: tuple[Any, ...],
        view_kwargs: dict[str, Any],
    ) -> HttpResponseBase | None:
        """Nobody's files are taken, at the doors that are open to everybody either.

        Who only looks through such a door is not looked up: ``/healthz`` answers without a database.
        """
        if request.method != "POST" and not getattr(view_func, "login_required", True):
            return None
        if not request.user.is_authenticated:
            request.upload_handlers = [NoFilesHandler(request)]
        return super().process_view(request, view_func, view_args, view_kwargs)

    def handle_no_permission(  # type: ignore[override]  # any response does; the stubs know the redirect only
        self, request: HtmxRequest, view_func: Callable[..., HttpResponseBase]
    ) -> HttpResponseBase:
        if request.htmx:
            return HttpResponseClientRedirect(_sign_in_address(request), status=204)
        if wants_json(request):
            sentence = _("Your session has ended. Sign in again.")
            return JsonResponse(
                {"sentence": sentence, "sign_in": resolve_url(settings.LOGIN_URL)}, status=401
            )
        return super().handle_no_permission(request, view_func)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The page for what cannot be understood, and the one for what is more than is taken."""
    if isinstance(exception, (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)):
        return HttpResponse(render_to_string("413.html"), status=413)
    return HttpResponse(render_to_string("400.html"), status=400)


def _sign_in_address(request: HtmxRequest) -> str:
    """The sign-in page, then back to the page that the fragment was on."""
    try:
        page = urlsplit(request.htmx.current_url or "")
    except ValueError:  # what anybody may write into a header
        return resolve_url(settings.LOGIN_URL)
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
        # Without the zone of a link-local address, which PostgreSQL does not take.
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return None  # a Unix socket has no address, and a proxy may say "unknown"
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
