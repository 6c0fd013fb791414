"""A person's second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes without it.

Passkeys stand beside the app (``passkeys.py``); each alone is a second factor.

Why it is made this way stands in ``docs/decisions/second-factor.md``.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from datetime import datetime

import pyotp
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import SecondFactor, User, new_key
from xrayportal.encryption import DecryptionError, decrypt, encrypt

#: Seconds for which an app shows one code.
STEP_SECONDS = 30
#: A clock may be so many steps ahead or behind.
TOLERANCE = 1
RECOVERY_CODES = 10
#: Crockford's base 32, without i, l, o and u; 16 signs are 80 random bits.
_SIGNS = "0123456789abcdefghjkmnpqrstvwxyz"
_PURPOSE = "second factor"


class LastFactorError(Exception):
    """Nothing was removed: it is the last factor of a person who must have one."""


def is_required(user: User) -> bool:
    """Whether a clinic of this person wants a second factor, or the portal wants one of its staff."""
    if user.is_staff or user.is_superuser:
        if settings.STAFF_SECOND_FACTOR:
            return True
        if user.is_superuser:
            return False
    return any(membership.clinic.requires_second_factor for membership in user.all_memberships)


def begin(user: User) -> None:
    """Make a new secret for the person's app, which is not in use before `confirm`."""
    with transaction.atomic():
        factor = locked_factor(user)
        if factor.app_since is not None:
            raise ValueError("This person has an app already.")
        factor.key = new_key()
        secret = pyotp.random_base32().encode()
        factor.secret = encrypt(secret, key=factor.key, purpose=_PURPOSE, row=str(user.pk))
        factor.last_step = 0
        factor.save()


def app_secret(user: User) -> str | None:
    """The secret of the app that is being set up, in base 32; None where none is."""
    factor = SecondFactor.objects.filter(user=user, app_since=None).exclude(secret=b"").first()
    return _secret_of(factor) if factor else None


def app_since(user: User) -> datetime | None:
    """Since when the person's app is in use; None without one."""
    return SecondFactor.objects.filter(user=user).values_list("app_since", flat=True).first()


def app_address(user: User, secret: str) -> str:
    """The ``otpauth://`` address that an app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name="X-Ray Portal")


def confirm(user: User, code: str, *, actor: Actor) -> list[str] | None:
    """Put the app in use with its first code; None where the code is wrong.

    Returns the recovery codes where this is the person's first factor, else an empty list.
    """
    with transaction.atomic():
        factor = locked_factor(user)
        if not factor.secret or factor.app_since is not None or not _use_app_code(factor, code):
            return None
        factor.app_since = timezone.now()
        factor.save(update_fields=["app_since"])
        codes = turn_on(user, factor)
        record_change(user, actor, "added")
    return codes


def turn_on(user: User, factor: SecondFactor) -> list[str]:
    """Ask this person for a second factor from now on; their recovery codes, or none where it was on already.

    The person's other sessions end: they have shown no factor. The row is locked.
    """
    user.refresh_from_db(fields=["second_factor_since"])
    if user.second_factor_since is not None:
        return []
    user.second_factor_since = timezone.now()
    user.save(update_fields=["second_factor_since"])
    return _replace_recovery_codes(factor)


def use_code(user: User, code: str) -> bool:
    """Whether this is a code of the person's app or a recovery code; it is used up by that."""
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update().filter(user=user).first()
        if factor is None:
            return False
        in_use = factor.app_since is not None and _use_app_code(factor, code)
        return in_use or _use_recovery_code(factor, code)


def recovery_codes_left(user: User) -> int:
    """How many recovery codes the person has not used."""
    factor = SecondFactor.objects.filter(user=user).first()
    return len(factor.recovery_codes) if factor else 0


def renew_recovery_codes(user: User, *, actor: Actor) -> list[str]:
    """Make new recovery codes; the former ones are void."""
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update().get(user=user)
        codes = _replace_recovery_codes(factor)
        record_change(user, actor, "new recovery codes")
    return codes


def remove_app(user: User, *, actor: Actor) -> bool:
    """Take the app away, and the second factor as a whole where nothing else is left; whether it was so.

    Raises `LastFactorError`, and ValueError where there is no app in use.
    """
    with transaction.atomic():
        factor = locked_factor(user)
        if factor.app_since is None:
            raise ValueError("This person has no app.")
        if not user.passkeys.exists():
            remove_last(user, actor=actor)
            return True
        factor.secret, factor.app_since = b"", None
        factor.save(update_fields=["secret", "app_since"])
        record_change(user, actor, "app removed")
    return False


def remove_last(user: User, *, actor: Actor) -> None:
    """As `remove`, where the person does so themselves. Raises `LastFactorError`."""
    if is_required(user):
        raise LastFactorError
    remove(user, actor=actor)


def remove(user: User, *, actor: Actor) -> None:
    """Take the second factor away, all of it: the password alone signs the person in again."""
    with transaction.atomic():
        locked_factor(user)  # a passkey that is just being added goes as well
        user.passkeys.all().delete()
        SecondFactor.objects.filter(user=user).delete()
        user.second_factor_since = None
        user.save(update_fields=["second_factor_since"])
        record_change(user, actor, "removed")


def locked_factor(user: User) -> SecondFactor:
    """The person's row, made where there is none, locked until the transaction ends."""
    SecondFactor.objects.get_or_create(user=user)
    return SecondFactor.objects.select_for_update().get(user=user)


def _secret_of(factor: SecondFactor) -> str:
    """Raises `DecryptionError` after a change of ``SECRET_KEY`` that kept no fallback."""
    return decrypt(factor.secret, key=factor.key, purpose=_PURPOSE, row=str(factor.user_id)).decode()


def _use_app_code(factor: SecondFactor, code: str) -> bool:
    typed = "".join(code.split())
    try:
        app = pyotp.TOTP(_secret_of(factor), interval=STEP_SECONDS)
    except DecryptionError:
        return False  # a recovery code still opens
    now = int(time.time()) // STEP_SECONDS
    for step in range(now - TOLERANCE, now + TOLERANCE + 1):
        if step > factor.last_step and constant_time_compare(app.generate_otp(step), typed):
            factor.last_step = step
            factor.save(update_fields=["last_step"])
            return True
    return False


def _use_recovery_code(factor: SecondFactor, code: str) -> bool:
    digest = _hashed(code)
    if digest not in factor.recovery_codes:
        return False
    factor.recovery_codes = [other for other in factor.recovery_codes if other != digest]
    factor.save(update_fields=["recovery_codes"])
    return True


def _replace_recovery_codes(factor: SecondFactor) -> list[str]:
    codes = [
        "-".join("".join(secrets.choice(_SIGNS) for _ in range(4)) for _ in range(4))
        for _ in range(RECOVERY_CODES)
    ]
    factor.recovery_codes = [_hashed(code) for code in codes]
    factor.save(update_fields=["recovery_codes"])
    return codes


def _hashed(code: str) -> str:
    """A plain hash is enough: 80 random bits are not found by trying."""
    return hashlib.sha256("".join(code.lower().replace("-", " ").split()).encode()).hexdigest()


def record_change(user: User, actor: Actor, change: str, **detail: object) -> None:
    """Audit for the platform what became of this person's second factor."""
    record(
        clinic=None,
        action=Action.SECOND_FACTOR_CHANGED,
        actor=actor,
        target=user,
        detail={"change": change, **detail},
    )
