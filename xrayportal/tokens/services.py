"""Making, finding and revoking tokens; making and revoking are audited in the clinic's chain."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import timedelta

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic, User
from xrayportal.tokens.models import ApiToken, Scope

#: How every secret begins, so that people and scanners of repositories recognise one.
PREFIX = "xrp_"
#: A request notes the time of use only where the last note is older.
_NOTE_EVERY = timedelta(minutes=1)


def create_token(
    *, clinic: Clinic, actor: Actor, name: str, role: str, scopes: Collection[str], days: int
) -> tuple[ApiToken, str]:
    """Make a token that expires after ``days``; returns it with its secret, which nothing can show again.

    ``role`` makes a service of its own; empty, the token acts as the person who makes it. Raises ValueError
    for an actor without a person, and for a service that would write reviews: an opinion is a person's.
    """
    if actor.user is None:
        raise ValueError("A token is made by a person.")
    if role and Scope.REVIEWS_WRITE in scopes:
        raise ValueError("A service has no opinion to save.")
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        clinic=clinic,
        name=name,
        role=role,
        scopes=sorted(set(scopes)),
        digest=_digest(secret),
        beginning=secret[: len(PREFIX) + 4],
        created_by=actor.user,
        expires_at=timezone.now() + timedelta(days=days),
    )
    with transaction.atomic():
        token.account = _service_account(token) if role else actor.user
        token.save(force_insert=True)
        record(
            clinic=clinic,
            action=Action.TOKEN_CREATED,
            actor=actor,
            target=token,
            detail={
                "role": role,
                "scopes": token.scopes,
                "account": token.account_id,
                "expires": token.expires_at.isoformat(),
            },
        )
    return token, secret


def revoke_token(*, token: ApiToken, actor: Actor) -> None:
    """End a token; it is refused from the next request on. One that was revoked already stays as it is."""
    with transaction.atomic():
        locked = ApiToken.objects.select_for_update(of=("self",)).select_related("clinic").get(pk=token.pk)
        if locked.revoked_at is None:
            locked.revoked_at = timezone.now()
            locked.save(update_fields=["revoked_at"])
            record(clinic=locked.clinic, action=Action.TOKEN_REVOKED, actor=actor, target=locked)
    token.revoked_at = locked.revoked_at


def find_token(secret: str) -> ApiToken | None:
    """The token of this secret in whatever state, with its clinic and account; None for an unknown one."""
    if not secret.startswith(PREFIX):
        return None
    return ApiToken.objects.select_related("clinic", "account").filter(digest=_digest(secret)).first()


def note_use(token: ApiToken, address: str | None) -> None:
    """Keep when and from where the token was used, to the minute."""
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at < now - _NOTE_EVERY:
        due = Q(last_used_at=None) | Q(last_used_at__lt=now - _NOTE_EVERY)
        ApiToken.objects.filter(due, pk=token.pk).update(last_used_at=now, last_address=address)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _service_account(token: ApiToken) -> User:
    """The user that owns what the service sends: without a password, and closed, so that nobody is it."""
    return User.objects.create(
        email=f"{token.pk}@service.invalid",
        last_name=token.name,
        password=make_password(None),
        is_active=False,
    )
