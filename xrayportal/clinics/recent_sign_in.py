"""What takes data away, deletes it, or changes who reaches it asks again, after a while, who is there.

``ASKING`` and ``ASKING_ACTIONS`` decide which addresses do. The question comes after the rule who may use the
address: in ``access.clinic_view``, and for the addresses outside of a clinic in the middleware below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect

from xrayportal.clinics.models import User
from xrayportal.clinics.sessions import confirmed_at
from xrayportal.security import LOOKS, HtmxRequest, page_address, wants_json

#: The names of the addresses that ask. Every other has its reason in ``tests/account/test_asking.py``.
ASKING = frozenset(
    {
        # Exports: many studies, or who saw them, leave the portal.
        *("history-export", "access-report-csv", "access-report-fhir"),
        *("submission-results", "submission-pictures"),
        # Deletion.
        "study-delete",
        # People.
        *("people", "people-invite", "people-roles", "people-link", "people-reactivate", "content-access"),
        # Settings, and programs that results go to.
        *("clinic-settings", "clinic-setup"),
        *("tokens", "token-revoke"),
        *("webhooks", "webhook", "webhook-act", "delivery-again"),
        *("dicom-settings", "dicom-add", "dicom-remove", "dicom-connection"),
    }
)
#: Where an address does several things: those that ask, as its form's ``action`` names them.
ASKING_ACTIONS = {"worklist-bulk-action": frozenset({"delete"})}
#: Django's admin asks everywhere but here: words for its scripts, and its way out.
_ADMIN_OPEN = frozenset({"admin:jsi18n", "admin:logout"})


def asks(name: str) -> bool:
    """Whether the address of this name asks; ``admin:…`` are those of Django's admin."""
    return name in ASKING or (name.startswith("admin:") and name not in _ADMIN_OPEN)


def _asks_here(request: HttpRequest) -> bool:
    name = request.resolver_match.view_name if request.resolver_match else ""
    return asks(name) or (name in ASKING_ACTIONS and request.POST.get("action") in ASKING_ACTIONS[name])


def is_recent(request: HttpRequest) -> bool:
    """Whether the session's person has shown within ``CONFIRM_SECONDS`` who they are."""
    at = confirmed_at(request)
    return at is not None and timezone.now().timestamp() - at < settings.CONFIRM_SECONDS


def question(request: HtmxRequest) -> HttpResponse | None:
    """The way to the page that asks, where this request's address asks and the last answer is too old.

    It leads back to the page, or for a form to the page that it stands on, where the person sends it again.
    """
    if not _asks_here(request) or is_recent(request):
        return None
    if wants_json(request):
        return JsonResponse({"sentence": _("Confirm first that it is you.")}, status=403)
    if request.method not in LOOKS:
        messages.info(request, _("Nothing was done yet. Confirm that it is you, then do it again."))
    address = f"{reverse('confirm')}?{urlencode({'next': page_address(request)})}"
    # An ordinary redirect would put the question into the fragment.
    return HttpResponseClientRedirect(address, status=204) if request.htmx else redirect(address)


class RecentSignInMiddleware:
    """Asks before the addresses that are no clinic's: Django's admin, and a superuser's way into a clinic.

    Strangers to them are not asked: they get what they always get.
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
        """The question, where there is one."""
        name = request.resolver_match.view_name if request.resolver_match else ""
        if not name.startswith("admin:") and name != "content-access":
            return None
        user = request.user
        enters = isinstance(user, User) and (
            user.is_staff if name.startswith("admin:") else user.is_superuser
        )
        return question(request) if enters else None
