"""The page on which a clinic's admin makes and revokes API tokens."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.tokens.models import ApiToken, Scope
from xrayportal.tokens.services import create_token, revoke_token
from xrayportal.web.shared.fields import REFUSED
from xrayportal.web.tokens.forms import TokenForm


@require_http_methods(["GET", "HEAD", "POST"])
@clinic_view(Permission.MANAGE)
def tokens(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """The clinic's tokens, and a new one, whose secret this answer alone shows."""
    if request.method != "POST":
        return _page(request, access, TokenForm())
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _page(request, access, form, status=REFUSED)
    token, secret = create_token(clinic=access.clinic, actor=access.actor, **form.options)
    return _page(request, access, TokenForm(), made=token, secret=secret, status=201)


@require_POST
@clinic_view(Permission.MANAGE)
def token_revoke(request: PortalRequest, access: ClinicAccess, token: uuid.UUID) -> HttpResponse:
    """End a token at once."""
    row = get_object_or_404(ApiToken.objects.filter(clinic=access.clinic), pk=token)
    revoke_token(token=row, actor=access.actor)
    messages.success(request, _("The token “%(name)s” was revoked.") % {"name": row.name})
    return redirect("tokens", access.clinic.slug)


def _page(
    request: PortalRequest,
    access: ClinicAccess,
    form: TokenForm,
    *,
    made: ApiToken | None = None,
    secret: str = "",
    status: int = 200,
) -> HttpResponse:
    rows = ApiToken.objects.filter(clinic=access.clinic).select_related("account", "created_by")
    now = timezone.now()
    active = [row for row in rows if row.state_at(now) == ApiToken.State.ACTIVE]
    context = {
        "access": access,
        "form": form,
        "made": made,
        "secret": secret,
        "active": active,
        "ended": [row for row in rows if row not in active],
        "scopes": Scope.choices,
    }
    return render(request, "tokens/tokens.html", context, status=status)
