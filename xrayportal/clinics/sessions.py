"""Sessions whose user and memberships come in the same query, because every poll asks for all three."""

from __future__ import annotations

import hashlib
from contextvars import ContextVar
from typing import Any, cast

from django.contrib import auth
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends import db
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from xrayportal.clinics.models import Membership, Session, User

#: In a session: the person's ``second_factor_since`` at which it has shown a code.
PROVEN = "second_factor"
#: The person that was loaded with the session, set only while ``auth.get_user`` runs.
_loaded_person: ContextVar[User | None] = ContextVar("loaded_person", default=None)


def hashed(key: str | None) -> str:
    """The hash of a session's key, as its row holds it: 64 hexadecimal digits; of no key, nothing.

    A plain hash is enough: a key has 165 random bits, so none can be found by trying.
    """
    return hashlib.sha256(key.encode()).hexdigest() if key else ""


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
        alive = {"session_key": hashed(self.session_key), "expire_date__gt": timezone.now()}
        memberships = Membership.objects.filter(
            **{f"user__sessions__{name}": value for name, value in alive.items()}
        ).select_related("user", "clinic")
        rows = list(memberships.annotate(session_data=F("user__sessions__session_data")))
        if not rows:  # a stranger, or a person without a clinic
            row = Session.objects.filter(**alive).first()
            if row is None:  # and a stranger does not choose the key of a new session
                self._session_key = None
                return {}
            return self.decode(row.session_data)
        self.person = rows[0].user
        self.person.all_memberships = [*rows]
        data: dict[str, Any] = self.decode(rows[0].session_data)
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
