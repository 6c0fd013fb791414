"""Who is signed in, and where: session, person and memberships in one query, which every poll pays for."""

from __future__ import annotations

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

#: The person that came with the session, for the length of ``auth.get_user`` alone.
_at_hand: ContextVar[User | None] = ContextVar("person_at_hand", default=None)


class SessionStore(db.SessionStore):
    """Django's sessions in the database, whose rows know their person."""

    #: Comes with the session, if they have a place in a clinic.
    person: User | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """The table with the person in it."""
        return Session

    def _validate_session_key(self, key: str | None) -> bool:
        """Ours are letters and digits; a cookie may hold what PostgreSQL does not take."""
        is_ours = key is not None and key.isascii() and key.isalnum()
        return is_ours and super()._validate_session_key(key)  # type: ignore[misc]  # unknown to the stubs

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """The row to save."""
        session = cast("Session", super().create_model_instance(data))
        session.user_id = data.get(auth.SESSION_KEY)
        return session

    def load(self) -> dict[str, Any]:
        """What the session keeps; ``person`` with their ``places`` besides, in the same query."""
        held = {"session_key": self.session_key, "expire_date__gt": timezone.now()}
        places = Membership.objects.filter(
            **{f"user__sessions__{name}": value for name, value in held.items()}
        )
        rows = list(places.select_related("user", "clinic").annotate(kept=F("user__sessions__session_data")))
        if not rows:  # a stranger, or a person without a clinic
            return super().load()
        self.person = rows[0].user
        self.person.places = [*rows]
        kept: dict[str, Any] = self.decode(rows[0].kept)
        return kept


class PersonBackend(ModelBackend):
    """Django's, but for a person who is at hand already."""

    def get_user(self, user_id: int) -> User | None:
        """The person if they may still sign in."""
        person = _at_hand.get()
        if person is None or person.pk != user_id:
            return super().get_user(user_id)
        return person if self.user_can_authenticate(person) else None


class PersonMiddleware(AuthenticationMiddleware):
    """``request.user`` from the session's own query, after all of Django's checks of the session."""

    def process_request(self, request: HttpRequest) -> None:
        """Looks when somebody asks."""
        request.user = SimpleLazyObject(lambda: _person(request))  # type: ignore[assignment]  # as Django does


def _person(request: HttpRequest) -> User | AnonymousUser:
    request.session.get(auth.SESSION_KEY)  # loads it
    token = _at_hand.set(getattr(request.session, "person", None))
    try:
        return auth.get_user(request)
    finally:
        _at_hand.reset(token)
