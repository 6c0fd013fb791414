"""Sessions whose user and memberships come in the same query, because every poll asks for all three."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from django.contrib import auth
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends import db
from django.db import models
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.functional import SimpleLazyObject

from xrayportal.clinics.models import Clinic, Membership, Session, User
from xrayportal.prepared import Prepared
from xrayportal.security import client_address

#: As `hashed` makes it: PostgreSQL does not take every text that a form may send.
_KEY = re.compile(r"[0-9a-f]{64}")
#: In a session: the person's ``second_factor_since`` at which it has shown a code.
PROVEN = "second_factor"
#: In a session: when, from where and with what browser the person signed in.
_SIGN_IN = "sign_in"
#: In a session: when the person last showed who they are, in seconds of the Unix epoch.
_CONFIRMED = "confirmed_at"
#: The person that was loaded with the session, set only while ``auth.get_user`` runs.
_loaded_person: ContextVar[User | None] = ContextVar("loaded_person", default=None)


def hashed(key: str | None) -> str:
    """The hash of a session's key, as its row holds it: 64 hexadecimal digits; of no key, nothing.

    A plain hash is enough: a key has 165 random bits, so none can be found by trying.
    """
    return hashlib.sha256(key.encode()).hexdigest() if key else ""


def _columns(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


def _living_sessions(key: str, now: datetime) -> QuerySet[Membership, tuple[Any, ...]]:
    """A session's data beside each membership of its user: the columns of both, and of the clinic."""
    memberships = Membership.objects.filter(
        user__sessions__session_key=key, user__sessions__expire_date__gt=now
    )
    return memberships.annotate(session_data=F("user__sessions__session_data")).values_list(
        "session_data",
        *_columns(Membership),
        *(f"user__{name}" for name in _columns(User)),
        *(f"clinic__{name}" for name in _columns(Clinic)),
    )


#: Asked by every request of a person.
_SESSION = Prepared(_living_sessions, key="a session's key", now=datetime(2000, 1, 1, tzinfo=UTC))


def _person_of(rows: Sequence[tuple[Any, ...]]) -> User:
    """The user of the rows of ``_SESSION``, with ``all_memberships`` and their clinics."""
    names = [_columns(model) for model in (Membership, User, Clinic)]
    first, second = 1 + len(names[0]), 1 + len(names[0]) + len(names[1])
    person = User.from_db(None, names[1], rows[0][first:second])
    person.all_memberships = []
    for row in rows:
        membership = Membership.from_db(None, names[0], row[1:first])
        membership.user, membership.clinic = person, Clinic.from_db(None, names[2], row[second:])
        person.all_memberships.append(membership)
    return person


class SessionStore(db.SessionStore):
    """Django's sessions in the database, with the user as a column and a hash in place of the key."""

    #: Set by ``load`` if the user has a membership.
    person: User | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """The session model with the user as a column."""
        return Session

    def _validate_session_key(self, key: str | None) -> bool:
        """Refuse what is not letters and digits: a cookie may hold what PostgreSQL does not take."""
        is_plain = key is not None and key.isascii() and key.isalnum()
        return is_plain and super()._validate_session_key(key)  # type: ignore[misc]  # unknown to the stubs

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """The unsaved row, with its user."""
        session = cast("Session", super().create_model_instance(data))
        session.session_key = hashed(session.session_key)
        session.user_id = data.get(auth.SESSION_KEY)
        return session

    def load(self) -> dict[str, Any]:
        """The session's data; the same query sets ``person`` with ``all_memberships``."""
        key, now = hashed(self.session_key), timezone.now()
        rows = _SESSION.rows(key=key, now=now)
        if not rows:  # a stranger, or a person without a clinic
            row = Session.objects.filter(session_key=key, expire_date__gt=now).first()
            if row is None:  # and a stranger does not choose the key of a new session
                self._session_key = None
                return {}
            return self.decode(row.session_data)
        self.person = _person_of(rows)
        data: dict[str, Any] = self.decode(rows[0][0])
        return data

    def exists(self, session_key: str) -> bool:
        """Whether there is a session with this key."""
        return Session.objects.filter(session_key=hashed(session_key)).exists()

    def delete(self, session_key: str | None = None) -> None:
        """Remove the session with this key, by default this one."""
        Session.objects.filter(session_key=hashed(session_key or self.session_key)).delete()


class PersonBackend(ModelBackend):
    """Django's backend, which takes the person that the session's query has loaded, if any."""

    def get_user(self, user_id: int) -> User | None:
        """The person with this id if they may still sign in, else None."""
        person = _loaded_person.get()
        if person is None or person.pk != user_id:
            return super().get_user(user_id)
        return person if self.user_can_authenticate(person) else None


class PersonMiddleware(AuthenticationMiddleware):
    """Sets ``request.user`` from the session's query, after all of Django's checks of the session."""

    def process_request(self, request: HttpRequest) -> None:
        """Set ``request.user``; the session is loaded when a view first uses it."""
        request.user = SimpleLazyObject(lambda: _person(request))  # type: ignore[assignment]  # as Django does


def _person(request: HttpRequest) -> User | AnonymousUser:
    request.session.get(auth.SESSION_KEY)  # loads it
    token = _loaded_person.set(getattr(request.session, "person", None))
    try:
        user = auth.get_user(request)
    finally:
        _loaded_person.reset(token)
    # Decided here, under every page, so that no way of signing in can pass it by, Django's own included.
    return user if has_proven(request, user) else AnonymousUser()


@dataclass(frozen=True)
class OpenSession:
    """A session of a person: ``key`` is the hash that its row is found by; ``is_here``: the request's own."""

    key: str
    since: datetime
    address: str | None
    user_agent: str
    is_here: bool


def note_sign_in(request: HttpRequest) -> None:
    """Note in the session when and from where the person signed in, for their list of sessions."""
    request.session[_SIGN_IN] = {
        "at": timezone.now().timestamp(),
        "address": client_address(request),
        "user_agent": request.headers.get("User-Agent", "")[:300],
    }
    note_confirmation(request)


def note_confirmation(request: HttpRequest) -> None:
    """Note in the session that the person has shown now who they are."""
    request.session[_CONFIRMED] = timezone.now().timestamp()


def confirmed_at(request: HttpRequest) -> float | None:
    """When the session's person last showed who they are, in seconds of the Unix epoch."""
    at: float | None = request.session.get(_CONFIRMED)
    return at


def open_sessions(request: HttpRequest, user: User) -> list[OpenSession]:
    """The person's sessions that are signed in, the request's own first, then the newest first."""
    here = hashed(request.session.session_key)
    found = []
    for row in user.sessions.filter(expire_date__gt=timezone.now()):
        data = SessionStore().decode(row.session_data)
        noted = data.get(_SIGN_IN)
        # Those that another password, or a second factor since then, has made nobody's are left out.
        if noted is None or not _opens(data, user):
            continue
        since = datetime.fromtimestamp(noted["at"], UTC)
        is_here = row.session_key == here
        found.append(OpenSession(row.session_key, since, noted["address"], noted["user_agent"], is_here))
    return sorted(found, key=lambda session: (not session.is_here, -session.since.timestamp()))


def _opens(data: dict[str, Any], user: User) -> bool:
    since = user.second_factor_since
    is_proven = since is None or data.get(PROVEN) == since.isoformat()
    digest = data.get(auth.HASH_SESSION_KEY, "")
    return is_proven and constant_time_compare(digest, user.get_session_auth_hash())


def end_session(user: User, key: str) -> int:
    """End the person's session of this ``key``; how many ended, 0 or 1, and 0 for a text that is no key."""
    return user.sessions.filter(session_key=key).delete()[0] if _KEY.fullmatch(key) else 0


def end_other_sessions(request: HttpRequest, user: User) -> int:
    """End all sessions of the person but the request's; how many."""
    others = user.sessions.exclude(session_key=hashed(request.session.session_key))
    return others.delete()[0]


def has_proven(request: HttpRequest, user: User | AnonymousUser) -> bool:
    """Whether the session has shown the person's second factor, or they have none."""
    since = user.second_factor_since if isinstance(user, User) else None
    return since is None or request.session.get(PROVEN) == since.isoformat()


def note_proof(request: HttpRequest, user: User) -> None:
    """Note in the session that it has shown the person's second factor."""
    request.session[PROVEN] = user.second_factor_since.isoformat() if user.second_factor_since else None
