"""Signing in and out, and other passwords: throttled by what the platform's audit chain remembers."""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import record
from xrayportal.clinics.models import User
from xrayportal.security import client_address

WINDOW = timedelta(minutes=15)
#: Failures within the window, from one address: on one account since its last success, and on all accounts.
ACCOUNT_LIMIT = 5
ADDRESS_LIMIT = 50


class SignInForm(AuthenticationForm):
    """E-mail address and password; the same sentence whether or not the account exists."""

    error_messages = {
        "invalid_login": _("This e-mail address and password do not belong together."),
        "inactive": _("This e-mail address and password do not belong together."),
        "throttled": _("Too many failed attempts. Wait 15 minutes, then try again."),
    }

    def clean_username(self) -> str:
        """Addresses are stored in lower case."""
        return str(self.cleaned_data["username"]).lower()

    def clean(self) -> dict[str, Any]:
        """Refuse before the password is looked at, so that a throttled guess teaches nothing."""
        assert self.request is not None  # noqa: S101  # LoginView always gives it
        username = self.cleaned_data.get("username")
        if username and is_throttled(username, client_address(self.request)):
            raise ValidationError(self.error_messages["throttled"], code="throttled")
        cleaned: dict[str, Any] = super().clean()
        return cleaned


class SignInView(LoginView):
    """One attempt at a time for one account from one address: parallel guesses cannot outrun the limit."""

    template_name = "registration/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Check and record the attempt in one transaction."""
        with _turn(request.POST.get("username", ""), request):
            return super().post(request, *args, **kwargs)


class SignOutView(LogoutView):
    """Also forgets the pictures that the browser may keep for a day."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Browsers heed the header over HTTPS only."""
        response = super().post(request, *args, **kwargs)
        response.headers["Clear-Site-Data"] = '"cache"'
        return response


class PasswordForm(PasswordChangeForm):
    """The present password proves that it is them; guessing it counts like guessing at the door."""

    error_messages = {
        **PasswordChangeForm.error_messages,
        "throttled": SignInForm.error_messages["throttled"],
    }

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def clean_old_password(self) -> str:
        """Refuse before the password is looked at, as at the door."""
        if is_throttled(self.user.email, client_address(self.request)):
            raise ValidationError(self.error_messages["throttled"], code="throttled")
        try:
            return super().clean_old_password()
        except ValidationError:
            credentials = {"username": self.user.email}
            user_login_failed.send(sender=__name__, credentials=credentials, request=self.request)
            raise


class PasswordView(PasswordChangeView):
    """A signed-in person chooses another password; their other sessions end. One attempt at a time too."""

    template_name = "registration/password.html"
    form_class = PasswordForm
    success_url = reverse_lazy("home")

    def get_form_kwargs(self) -> dict[str, Any]:
        """The form asks where the request came from."""
        return {**super().get_form_kwargs(), "request": self.request}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Check the present password, keep the new one and record either in one transaction."""
        with _turn(request.user.get_username(), request):
            return super().post(request, *args, **kwargs)

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """It is chosen."""
        response = super().form_valid(form)
        record_password(form.user, request=self.request)
        messages.success(self.request, _("Your password is changed. Other devices are signed out."))
        return response


def record_password(user: User, *, request: HttpRequest) -> None:
    """The platform's chain knows that this person chose a password."""
    record(
        clinic=None,
        action=Action.PASSWORD_CHANGED,
        actor=user,
        target=user,
        address=client_address(request),
    )


@contextmanager
def _turn(email: str, request: HttpRequest) -> Iterator[None]:
    """A transaction that waits for others about the same account from the same address."""
    lock = f"sign-in {_account(email)} {neighbourhood(client_address(request))}"
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
        yield


def is_throttled(email: str, address: str | None) -> bool:
    """Whether this address has failed too often lately, on this account or on many."""
    since = timezone.now() - WINDOW
    events = AuditEvent.objects.filter(clinic=None, at__gte=since)
    near = neighbourhood(address)
    events = events.filter(address__range=near) if near else events.filter(address=None)
    failures = events.filter(action=Action.SIGN_IN_FAILED)
    if failures.count() >= ADDRESS_LIMIT:
        return True
    account = _account(email)
    succeeded = events.filter(action=Action.SIGNED_IN, detail__account=account).order_by("-id").first()
    on_account = failures.filter(detail__account=account, id__gt=succeeded.pk if succeeded else 0)
    return on_account.count() >= ACCOUNT_LIMIT


def neighbourhood(address: str | None) -> tuple[str, str] | None:
    """The first and last address of those that one customer has: one of IPv4, a /64 network of IPv6."""
    if address is None:
        return None
    bits = 64 if ":" in address else 32
    network = ipaddress.ip_network(f"{address}/{bits}", strict=False)
    return str(network[0]), str(network[-1])


@receiver(user_logged_in)
def _record_sign_in(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    record(
        clinic=None,
        action=Action.SIGNED_IN,
        actor=user,
        detail={"account": _account(user.email)},
        address=client_address(request),
    )


@receiver(user_logged_out)
def _record_sign_out(sender: Any, request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        record(clinic=None, action=Action.SIGNED_OUT, actor=user, address=client_address(request))


@receiver(user_login_failed)
def _record_failure(
    sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    email = str(credentials.get("username", ""))
    record(
        clinic=None,
        action=Action.SIGN_IN_FAILED,
        target=User.objects.filter(email=email).first(),
        detail={"account": _account(email)},
        address=client_address(request) if request else None,
    )


def _account(email: str) -> str:
    """A keyed fingerprint: what somebody typed into the field is not for the chain."""
    # As the form reads it: two ways to write one address must not be two accounts to the limit.
    typed = unicodedata.normalize("NFKC", email.strip()).lower()
    return salted_hmac("xrayportal.sign-in", typed).hexdigest()[:16]
