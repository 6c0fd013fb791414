"""The wall before people who must have a second factor and have none: they set one up first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, resolve_url
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect

from xrayportal.clinics.models import User
from xrayportal.clinics.second_factor import is_required
from xrayportal.security import HtmxRequest, wants_json

PAGE = "second-factor"
#: What such a person may still ask for.
OPEN = frozenset(
    {
        *(PAGE, "second-factor-open", "second-factor-begin", "second-factor-confirm"),
        # To give an app's set-up up, for a passkey say; an app in use stays.
        *("second-factor-app-remove", "passkey-options", "passkey-add", "sign-out"),
    }
)


class SecondFactorRequiredMiddleware:
    """Leads a person to ``PAGE`` whose clinic, or portal, wants a second factor that they have not got.

    Stands after the middleware that requires the sign-in, and asks the database nothing: the session's query
    has loaded the person and their clinics. Addresses without a sign-in, the API's among them, stay open.
    """

    def __init__(self, get_response: Callable[[HtmxRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HtmxRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self,
        request: HtmxRequest,
        view_func: Callable[..., HttpResponseBase],
        view_args: tuple[Any, ...],
        view_kwargs: dict[str, Any],
    ) -> HttpResponseBase | None:
        """Refuse the request of such a person: a redirect, for a script 403 as JSON."""
        if not getattr(view_func, "login_required", True):
            return None
        user = request.user
        if not isinstance(user, User) or user.second_factor_since is not None or not is_required(user):
            return None
        if request.resolver_match is not None and request.resolver_match.view_name in OPEN:
            return None
        if request.htmx:
            return HttpResponseClientRedirect(resolve_url(PAGE), status=204)
        if wants_json(request):
            return JsonResponse({"sentence": _("Set up your second factor first.")}, status=403)
        return redirect(PAGE)
