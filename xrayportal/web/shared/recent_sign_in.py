"""What takes data away, deletes it or changes who reaches it asks again who is there, after a while."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from xrayportal.access import LOOKS, ClinicAccess, PortalRequest
from xrayportal.clinics.sessions import confirmed_at
from xrayportal.security import wants_json

View = Callable[..., HttpResponseBase]


def recent_sign_in(view: View) -> View:
    """Decorator for ``view(request, access, **kwargs)``, below ``clinic_view``, which comes first.

    The person has signed in, or confirmed that it is they, within ``CONFIRM_SECONDS``; else they are asked to
    and come back: to the page, or for a form to the page that it stands on, where they send it again.
    """

    @functools.wraps(view)
    def wrapper(request: PortalRequest, access: ClinicAccess, **kwargs: Any) -> HttpResponseBase:
        if is_recent(request):
            return view(request, access, **kwargs)
        if wants_json(request):
            return JsonResponse({"sentence": _("Confirm first that it is you.")}, status=403)
        if request.method not in LOOKS:
            messages.info(request, _("Nothing was done yet. Confirm that it is you, then do it again."))
        query = urlencode({"next": _way_back(request)})
        return redirect(f"{reverse('confirm')}?{query}")

    return wrapper


def is_recent(request: HttpRequest) -> bool:
    """Whether the session's person has shown within ``CONFIRM_SECONDS`` who they are."""
    at = confirmed_at(request)
    return at is not None and timezone.now().timestamp() - at < settings.CONFIRM_SECONDS


def _way_back(request: HttpRequest) -> str:
    """This page's address; for a form that of the page that it stands on, if the browser tells it."""
    if request.method in LOOKS:
        return request.get_full_path()
    try:
        page = urlsplit(request.headers.get("Referer", ""))
    except ValueError:  # a header may hold anything
        return "/"
    return page._replace(scheme="", netloc="", fragment="").geturl() if page.path.startswith("/") else "/"
