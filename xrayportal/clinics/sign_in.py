"""The limit on sign-in attempts, counted over the platform's audit chain, and what that chain records."""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import connection, transaction
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import User
from xrayportal.security import client_address

#: Failures are counted over this time.
WINDOW = timedelta(minutes=15)
#: Failures from one address on one account since its last success.
ACCOUNT_LIMIT = 5
#: Failures from one address on all accounts.
ADDRESS_LIMIT = 50


def record_password(user: User, *, request: HttpRequest) -> None:
    """Audit for the platform that this person chose a password."""
    record(
        clinic=None,
        action=Action.PASSWORD_CHANGED,
        actor=Actor(user, client_address(request)),
        target=user,
    )


@contextmanager
def turn(email: str, request: HttpRequest) -> Iterator[None]:
    """A transaction for one sign-in attempt; attempts on one account from one address take turns."""
    lock = f"sign-in {_account(email)} {neighbourhood(client_address(request))}"
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


def neighbourhood(address: str | None) -> tuple[str, str] | None:
    """The first and last address that one customer has: a single IPv4 address, or a /64 network of IPv6."""
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
    # As the form reads it: two ways to write one address must not be two accounts to the limit.
    typed = unicodedata.normalize("NFKC", email.strip()).lower()
    return salted_hmac("xrayportal.sign-in", typed).hexdigest()[:16]
