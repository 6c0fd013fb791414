"""Home, sign-in, passwords, and a superuser's audited access to a clinic's content."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView, redirect_to_login
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from xrayportal.access import GRANT_LASTS, end_content, grant_content
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic, User
from xrayportal.clinics.sessions import end_other_sessions
from xrayportal.clinics.sign_in import pass_password, record_password, turn
from xrayportal.security import client_address
from xrayportal.web.account.forms import NameForm, PasswordForm, ReasonForm, SignInForm
from xrayportal.web.shared.context import accesses_of
from xrayportal.web.shared.fields import REFUSED


class SignInView(LoginView):
    """Sign-in, one attempt at a time for an account and an address, so that parallel guesses are counted."""

    template_name = "account/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Check and record the attempt in one transaction."""
        with turn(request.POST.get("username", ""), request):
            return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Sign in, or ask for the code first. Django's own form_valid would sign in without one."""
        if pass_password(self.request, form.get_user()):
            # No ``redirect``: that would take the text for the name of a view.
            return HttpResponseRedirect(self.get_success_url())
        following = self.get_redirect_url()
        query = f"?{urlencode({'next': following})}" if following else ""
        return redirect(f"{reverse('sign-in-code')}{query}")


class SignOutView(LogoutView):
    """Sign-out, which also clears the pictures that the browser may keep for a day."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """End the session and ask the browser to clear its cache, which it does over HTTPS only."""
        response = super().post(request, *args, **kwargs)
        response.headers["Clear-Site-Data"] = '"cache"'
        return response


class PasswordView(PasswordChangeView):
    """Change of the password, which ends the person's other sessions. One attempt at a time, too."""

    template_name = "account/password.html"
    form_class = PasswordForm
    success_url = reverse_lazy("home")

    def get_form_kwargs(self) -> dict[str, Any]:
        """The form's arguments, with the request, whose address is throttled."""
        return {**super().get_form_kwargs(), "request": self.request}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Check the present password, keep the new one and record either in one transaction."""
        with turn(request.user.get_username(), request):
            return super().post(request, *args, **kwargs)

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """Save the new password, audit it and say so."""
        response = super().form_valid(form)
        end_other_sessions(self.request, form.user)
        record_password(form.user, request=self.request)
        messages.success(self.request, _("Your password is changed. Other devices are signed out."))
        return response


@require_http_methods(["GET", "HEAD", "POST"])
def own_name(request: HttpRequest) -> HttpResponse:
    """The person's own name, as colleagues see it beside what they sent and signed."""
    # A row of its own: an invalid form leaves its values on it, and the frame shows the request's user.
    user = get_object_or_404(User, pk=request.user.pk)
    form = NameForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        if form.changed_data:
            with transaction.atomic():
                # These alone: an account that is closed just now must not be opened again.
                form.save(commit=False).save(update_fields=form.changed_data)
                actor = Actor(user, client_address(request))
                record(clinic=None, action=Action.PERSON_CHANGED, actor=actor, target=user)
            messages.success(request, _("Your name is saved."))
        return redirect("home")
    return render(request, "account/name.html", {"form": form}, status=REFUSED if form.is_bound else 200)


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """A redirect to the person's only clinic, or a page to choose one; superusers choose among all."""
    clinics = [access.clinic for access in accesses_of(request)]
    if len(clinics) == 1:
        return redirect("worklist", clinic=clinics[0].slug)
    user = request.user
    others = Clinic.objects.exclude(pk__in=[clinic.pk for clinic in clinics])
    context = {"own_clinics": clinics, "other_clinics": others if user.is_superuser else others.none()}
    return render(request, "account/home.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def content_access(request: HttpRequest, clinic: str) -> HttpResponse:
    """Ask a superuser for a reason, then let them see the clinic's content for ``GRANT_LASTS``."""
    _superuser_or_404(request)
    row = get_object_or_404(Clinic, slug=clinic)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        grant_content(request, row, reason=form.cleaned_data["reason"])
        return redirect("worklist", clinic=row.slug)
    minutes = int(GRANT_LASTS.total_seconds() // 60)
    status = REFUSED if form.is_bound else 200
    context = {"clinic": row, "form": form, "minutes": minutes}
    return render(request, "account/content_access.html", context, status=status)


@require_POST
def content_access_end(request: HttpRequest, clinic: str) -> HttpResponse:
    """End a superuser's access to the clinic's content before its time."""
    _superuser_or_404(request)
    end_content(request, get_object_or_404(Clinic, slug=clinic))
    return redirect("home")


def _superuser_or_404(request: HttpRequest) -> None:
    user = request.user
    if not isinstance(user, User) or not user.is_superuser:
        raise Http404("Not found.")


@login_not_required
def admin_sign_in(request: HttpRequest) -> HttpResponse:
    """Redirect to the portal's sign-in, which is throttled and audited; the admin has none of its own."""
    if request.user.is_authenticated:
        raise Http404("Not found.")  # signed in, but not staff
    return redirect_to_login(request.GET.get("next", "/"))
