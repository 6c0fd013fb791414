"""Security of every request: headers, the required sign-in, and the address that a request came from."""

from __future__ import annotations

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

from xrayportal.hosts import parse_address

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


#: Methods that change nothing.
LOOKS = frozenset({"GET", "HEAD"})
#: The id of the element that one page after another takes the place of (``base_swap.html``).
PAGE = "page"
#: Headers of every response, unless its view has set them.
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Pages name patients: nothing of them stays on a shared machine's disk or behind its Back button.
    "Cache-Control": "private, no-store",
}


class HtmxRequest(HttpRequest):
    """A request with the details that the middleware of htmx adds."""

    htmx: HtmxDetails


class HeadersMiddleware:
    """Adds ``HEADERS`` to every response, Django's admin included."""

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
        """Stop at once: nothing is written, and the rest of the request is not read."""
        raise StopUpload(connection_reset=True)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Never called."""

    def file_complete(self, file_size: int) -> None:
        """Never called."""


class SignInRequiredMiddleware(LoginRequiredMiddleware):
    """Requires a sign-in for every view that is not marked otherwise.

    A fragment gets a redirect of its whole page, a script a 401 as JSON: an ordinary redirect would be
    followed silently, and the sign-in page would end up inside the fragment. Stands before the CSRF check,
    which reads the whole form: a stranger cannot fill the disk with files.
    """

    def process_view(
        self,
        request: HttpRequest,
        view_func: Callable[..., HttpResponseBase],
        view_args: tuple[Any, ...],
        view_kwargs: dict[str, Any],
    ) -> HttpResponseBase | None:
        """Refuse requests without a sign-in; never take files from them, at public addresses either.

        A GET of a public address does not load the user, so that ``/healthz`` answers without a database.
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
            query = urlencode({"next": page_address(request)})
            return HttpResponseClientRedirect(f"{resolve_url(settings.LOGIN_URL)}?{query}", status=204)
        if wants_json(request):
            sentence = _("Your session has ended. Sign in again.")
            return JsonResponse(
                {"sentence": sentence, "sign_in": resolve_url(settings.LOGIN_URL)}, status=401
            )
        return super().handle_no_permission(request, view_func)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The page for a request that is too large (413), else the one for a malformed request (400)."""
    if isinstance(exception, (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)):
        return HttpResponse(render_to_string("413.html"), status=413)
    return HttpResponse(render_to_string("400.html"), status=400)


def page_address(request: HtmxRequest) -> str:
    """The path and query of the page that a request belongs to, to come back to; ``/`` where it is unknown.

    That is the address itself where a page is asked for, also by htmx in place of the page before (its target
    is ``PAGE``). A form or a fragment has an address that shows no page: its page is the one that it is on.
    """
    if request.method in LOOKS and (not request.htmx or request.htmx.target == PAGE):
        return request.get_full_path()
    try:
        page = urlsplit(request.htmx.current_url or request.headers.get("Referer", ""))
    except ValueError:  # a header may hold anything
        return "/"
    is_path = page.path.startswith("/") and not page.path.startswith("//")
    return page._replace(scheme="", netloc="", fragment="").geturl() if is_path else "/"


def wants_json(request: HttpRequest) -> bool:
    """Whether a script asks for JSON, not a browser for a page."""
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def client_address(request: HttpRequest) -> str | None:
    """The address that a request came from, or None where it is unknown.

    Believes the last ``TRUSTED_PROXIES`` entries of X-Forwarded-For.
    """
    address: Any = request.META.get("REMOTE_ADDR")
    proxies: int = settings.TRUSTED_PROXIES
    if proxies > 0:
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
        # Each of our proxies appended the address it saw; a sender can claim anything further left.
        if len(hops) >= proxies:
            address = hops[-proxies]
    try:
        return str(parse_address(address or ""))
    except ValueError:
        return None  # a Unix socket has no address, and a proxy may say "unknown"
