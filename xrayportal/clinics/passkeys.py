"""Passkeys (WebAuthn) as a second factor: made, used after the password and to confirm, and removed.

The private key stays in the person's device, which uses it only at the portal's own name and after a finger,
a face or a PIN. What a device signs is a challenge that the session holds, for one answer and five minutes.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import struct
from typing import Any, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorData,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from xrayportal.clinics.actors import actor_of
from xrayportal.clinics.models import Passkey, User
from xrayportal.clinics.second_factor import locked_factor, record_change, remove_last, turn_on

logger = logging.getLogger(__name__)

#: A person may have so many.
MOST = 20
#: Seconds in which a challenge is answered.
CHALLENGE_LASTS = 300
#: What a challenge is for.
_MAKE, _USE = "make", "use"
_CHALLENGE = "passkey_challenge"
_VERIFIED = UserVerificationRequirement.REQUIRED
#: What parsing a hostile answer raises, each with what is wrong in its text.
_MALFORMED = (ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error, RecursionError)


class PasskeyRefused(Exception):
    """No passkey was made: the browser's answer is not what was asked for."""


def domain_of(request: HttpRequest) -> str:
    """The portal's name that passkeys are bound to (WebAuthn's RP id).

    The host of ``PUBLIC_URL``, else of this request; empty for a number, with which browsers make none.
    """
    for address in (settings.PUBLIC_URL, f"//{request.get_host()}"):
        host = urlsplit(address).hostname or ""
        if host and not _is_number(host):
            return host
    return ""


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def usable(request: HttpRequest, user: User) -> list[Passkey]:
    """The person's passkeys that work at this name of the portal."""
    domain = domain_of(request)
    return list(user.passkeys.filter(domain=domain)) if domain else []


def creation_options(request: HttpRequest, user: User) -> dict[str, Any]:
    """What ``navigator.credentials.create`` takes, as JSON, with a new challenge for `add`."""
    known = [_data_of(passkey) for passkey in usable(request, user)]
    options, state = _server(request).register_begin(
        PublicKeyCredentialUserEntity(
            # Tells nothing, because a device may give it away; the name is what its list of passkeys shows.
            id=salted_hmac("xrayportal.passkey", str(user.pk), algorithm="sha256").digest(),
            name=user.email,
            display_name=str(user),
        ),
        known,
        resident_key_requirement=ResidentKeyRequirement.PREFERRED,
        user_verification=_VERIFIED,
    )
    _note_challenge(request, user, _MAKE, state)
    return dict(options)


def add(request: HttpRequest, user: User, *, name: str, answer: str) -> list[str]:
    """Keep a new passkey from the browser's answer (JSON) to `creation_options`.

    Returns the recovery codes where this is the person's first factor, else an empty list. Raises
    `PasskeyRefused`.
    """
    data: AuthenticatorData | None = None
    state = _take_challenge(request, user, _MAKE)
    if state is not None:
        try:
            data = _server(request).register_complete(state, json.loads(answer))
        except _MALFORMED as error:
            logger.info("A new passkey of user %s was refused: %s.", user.pk, error)
    if data is None or data.credential_data is None:
        raise PasskeyRefused
    credential = data.credential_data
    try:
        with transaction.atomic():
            factor = locked_factor(user)
            if user.passkeys.count() >= MOST:
                raise PasskeyRefused
            passkey = Passkey.objects.create(
                user=user,
                name=name,
                domain=domain_of(request),
                credential_id=credential.credential_id,
                credential=bytes(credential),
                sign_count=data.counter,
            )
            codes = turn_on(user, factor)
            record_change(user, actor_of(request), "passkey added", passkey=passkey.pk)
    except IntegrityError as error:  # somebody's already
        raise PasskeyRefused from error
    return codes


def request_options(request: HttpRequest, user: User) -> dict[str, Any]:
    """What ``navigator.credentials.get`` takes, as JSON, with a new challenge for `use`."""
    known = [_data_of(passkey) for passkey in usable(request, user)]
    options, state = _server(request).authenticate_begin(known, user_verification=_VERIFIED)
    _note_challenge(request, user, _USE, state)
    return dict(options)


def use(request: HttpRequest, user: User, answer: str) -> bool:
    """Whether the browser's answer (JSON) to `request_options` is of a passkey of this person."""
    state = _take_challenge(request, user, _USE)
    if state is None:
        return False
    with transaction.atomic():
        rows = {
            bytes(row.credential_id): row
            for row in user.passkeys.filter(domain=domain_of(request)).select_for_update()
        }
        try:
            response = json.loads(answer)
            used = _server(request).authenticate_complete(
                state, [_data_of(row) for row in rows.values()], response
            )
            count = AuthenticationResponse.from_dict(response).response.authenticator_data.counter
        except _MALFORMED as error:
            logger.info("A passkey of user %s was refused: %s.", user.pk, error)
            return False
        passkey = rows[used.credential_id]
        if (count or passkey.sign_count) and count <= passkey.sign_count:
            logger.warning("Passkey %s counted back: somebody may have a copy of it.", passkey.pk)
            return False
        passkey.sign_count = count
        passkey.last_used_at = timezone.now()
        passkey.save(update_fields=["sign_count", "last_used_at"])
    return True


def remove_passkey(request: HttpRequest, user: User, pk: int) -> bool:
    """Take one passkey away, and the second factor as a whole where nothing else is left; whether it was so.

    Raises Passkey.DoesNotExist where the person has no such passkey, and `LastFactorError`.
    """
    with transaction.atomic():
        factor = locked_factor(user)
        passkey = user.passkeys.get(pk=pk)
        if factor.app_since is None and user.passkeys.count() == 1:
            remove_last(user, actor=actor_of(request))
            return True
        passkey.delete()
        record_change(user, actor_of(request), "passkey removed", passkey=pk)
    return False


def _server(request: HttpRequest) -> Fido2Server:
    """Takes answers of pages at the portal's own addresses only: those of this request and ``PUBLIC_URL``."""
    public = urlsplit(settings.PUBLIC_URL)
    own = {f"{request.scheme}://{request.get_host()}", f"{public.scheme}://{public.netloc}"}
    name = PublicKeyCredentialRpEntity(id=domain_of(request), name="X-Ray Portal")
    return Fido2Server(name, verify_origin=own.__contains__)


def _data_of(passkey: Passkey) -> AttestedCredentialData:
    return AttestedCredentialData(bytes(passkey.credential))


def _note_challenge(request: HttpRequest, user: User, purpose: str, state: Any) -> None:
    request.session[_CHALLENGE] = {
        "state": state,
        "purpose": purpose,
        "user": user.pk,
        "until": timezone.now().timestamp() + CHALLENGE_LASTS,
    }


def _take_challenge(request: HttpRequest, user: User, purpose: str) -> dict[str, Any] | None:
    """The challenge's state, this once; None where the session has none for this person and purpose."""
    noted = request.session.pop(_CHALLENGE, None)
    if noted is None or (noted["purpose"], noted["user"]) != (purpose, user.pk):
        return None
    is_over = noted["until"] < timezone.now().timestamp()
    return None if is_over else cast("dict[str, Any]", noted["state"])
