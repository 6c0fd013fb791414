"""The page behind an invitation, on which a person chooses a password."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from xrayportal.clinics.people import invited_user
from xrayportal.clinics.sign_in import record_password
from xrayportal.web.people.forms import WelcomeForm
from xrayportal.web.shared.fields import REFUSED


@never_cache
@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    """The page on which an invited person gives their name and chooses a password; the link works once."""
    user = invited_user(uid, token)
    if user is None:
        return render(request, "people/invitation_over.html", status=404)
    form = WelcomeForm(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save()
            user.sessions.all().delete()
            record_password(user, request=request)
        messages.success(request, _("Your account is ready. Sign in with your e-mail address."))
        return redirect("sign-in")
    return render(
        request,
        "people/invitation.html",
        {"form": form, "person": user},
        status=REFUSED if form.is_bound else 200,
    )
