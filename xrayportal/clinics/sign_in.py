"""The one door: password, then the second factor where there is one. Attempts are limited and recorded.

The limit counts over the platform's audit chain. Nothing else may call ``django.contrib.auth.login``; a
session that came by another way is nobody's until it has shown the person's second factor (``sessions.py``).
"""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.contrib import auth
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import connection, transaction
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import User
from xrayportal.clinics.sessions import note_proof, note_sign_in
from xrayportal.security import client_address

#: Failures are counted over this time.
WINDOW = timedelta(minutes=15)
#: Failures from one address on one account since its last success.
ACCOUNT_LIMIT = 5
#: Failures from one address on all accounts.
ADDRESS_LIMIT = 50
#: Wrong codes for one account from all addresses: only who knows the password can send any.
CODE_LIMIT = 10
#: Characters of an e-mail address that the form takes; ``turn`` sees what was typed before the form does.
LONGEST_EMAIL = 254
#: A code is to follow the password within this time.
PENDING_LASTS = timedelta(minutes=10)
_PENDING = "pending_sign_in"


def pass_password(request: HttpRequest, user: User) -> bool:
    """Sign the person in after their password; False where a code is wanted first, for `pass_code`."""
    if user.second_factor_since is None:
        auth.login(request, user)
        return True
    request.session[_PENDING] = {
        "user": user.pk,
        "password": user.get_session_auth_hash(),
        "until": (timezone.now() + PENDING_LASTS).timestamp(),
    }
    return False


def pending_user(request: HttpRequest) -> User | None:
    """Who has given their password in this session and not yet a code; None where that is over."""
    pending = request.session.get(_PENDING)
    if not pending or pending["until"] < timezone.now().timestamp():
        return None
    user = User.objects.filter(pk=pending["user"], is_active=True, second_factor_since__isnull=False).first()
    if user is None or not constant_time_compare(pending["password"], user.get_session_auth_hash()):
        return None
    return user


def pass_code(request: HttpRequest, user: User) -> None:
    """Sign the person in after their password and a code that was checked."""
    del request.session[_PENDING]
    auth.login(request, user)
    note_proof(request, user)


def record_password(user: User, *, request: HttpRequest) -> None:
    """Audit for the platform that this person chose a password."""
    record(
        clinic=None,
        action=Action.PASSWORD_CHANGED,
        actor=Actor(user, client_address(request)),
        target=user,
    )


def record_ended_sessions(user: User, ended: int, *, request: HttpRequest) -> None:
    """Audit for the platform that this person ended sessions of theirs on other devices."""
    record(
        clinic=None,
        action=Action.SIGNED_OUT,
        actor=Actor(user, client_address(request)),
        detail={"other_sessions": ended},
    )


@contextmanager
def turn(email: str, request: HttpRequest) -> Iterator[None]:
    """A transaction for one sign-in attempt; attempts on one account from one address take turns."""
    with _turn(f"sign-in {_account(email)} {neighbourhood(client_address(request))}"):
        yield


@contextmanager
def code_turn(user: User) -> Iterator[None]:
    """A transaction for one attempt at a code; all attempts on one account take turns."""
    with _turn(f"code {user.pk}"):
        yield


@contextmanager
def _turn(lock: str) -> Iterator[None]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
        yield


def is_throttled(email: str, address: str | None) -> bool:
    """Whether this address has failed too often within ``WINDOW``, on this account or on all accounts."""
    since = timezone.now() - WINDOW
    events = AuditEvent.objects.filter(clinic=None, at__gte=since)
    near = neighbourhood(address)
    events = events.filter(address__range=near) if near else events.filter(address=None)
    failures = events.filter(action=Action.SIGN_IN_FAILED)
    if failures.count() >= ADDRESS_LIMIT:
        return True
    account = _account(email)
    succeeded = events.filter(action=Action.SIGNED_IN, detail__account=account).order_by("-number").first()
    on_account = failures.filter(detail__account=account, number__gt=succeeded.number if succeeded else 0)
    return on_account.count() >= ACCOUNT_LIMIT


def is_code_throttled(user: User, address: str | None) -> bool:
    """Whether no code is checked now: the limits of `is_throttled`, and ``CODE_LIMIT`` from all addresses."""
    failures = AuditEvent.objects.filter(
        clinic=None, action=Action.SIGN_IN_FAILED, at__gte=timezone.now() - WINDOW
    )
    wrong = failures.filter(detail__account=_account(user.email), detail__step="code")
    return wrong.count() >= CODE_LIMIT or is_throttled(user.email, address)


def record_wrong_code(user: User, request: HttpRequest) -> None:
    """Count a wrong code as a failed sign-in."""
    record(
        clinic=None,
        action=Action.SIGN_IN_FAILED,
        actor=Actor(address=client_address(request)),
        target=user,
        detail={"account": _account(user.email), "step": "code"},
    )


def neighbourhood(address: str | None) -> tuple[str, str] | None:
    """The first and last address that one customer has: a single IPv4 address, or a /64 network of IPv6."""
    if address is None:
        return None
    bits = 64 if ":" in address else 32
    network = ipaddress.ip_network(f"{address}/{bits}", strict=False)
    return str(network[0]), str(network[-1])


@receiver(user_logged_in)
def _record_sign_in(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    note_sign_in(request)
    record(
        clinic=None,
        action=Action.SIGNED_IN,
        actor=Actor(user, client_address(request)),
        detail={"account": _account(user.email)},
    )


@receiver(user_logged_out)
def _record_sign_out(sender: Any, request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        record(clinic=None, action=Action.SIGNED_OUT, actor=Actor(user, client_address(request)))


@receiver(user_login_failed)
def _record_failure(
    sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    email = str(credentials.get("username", ""))
    record(
        clinic=None,
        action=Action.SIGN_IN_FAILED,
        actor=Actor(address=client_address(request) if request else None),
        target=User.objects.filter(email=email).first(),
        detail={"account": _account(email)},
    )


def _account(email: str) -> str:
    """A keyed fingerprint of the address, 16 hexadecimal digits: the chain never keeps what was typed."""
    # As the form reads it: two ways to write one address must not be two accounts to the limit. Cut, because
    # normalising costs the square of the length: half an hour for what a stranger may send.
    typed = unicodedata.normalize("NFKC", email[:LONGEST_EMAIL].strip()).lower()
    return salted_hmac("xrayportal.sign-in", typed).hexdigest()[:16]
