"""Actors: who makes a change and from which address, as every service takes it and the audit records it."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest

from xrayportal.audit.models import LONGEST_LABEL
from xrayportal.clinics.models import User
from xrayportal.security import client_address


@dataclass(frozen=True, slots=True)
class Actor:
    """A person with the address of their request, or a process by its ``name``."""

    user: User | None = None
    address: str | None = None
    name: str = ""

    @property
    def user_id(self) -> str:
        """The person's id as the audit keeps it; empty for none."""
        return str(self.user.pk) if self.user else ""

    @property
    def label(self) -> str:
        """The name that the audit keeps, which outlives the account, as far as there is room."""
        return (self.name or (self.user.email if self.user else ""))[:LONGEST_LABEL]


PORTAL = Actor(name="portal")
COMMAND_LINE = Actor(name="command line")


def person_of(request: HttpRequest) -> User:
    """The person who sent this request, to a view that requires a sign-in."""
    if not isinstance(request.user, User):
        raise TypeError("The view of this request does not require a sign-in.")
    return request.user


def actor_of(request: HttpRequest) -> Actor:
    """The person who sent this request, without a user before a sign-in."""
    user = request.user if isinstance(request.user, User) else None
    return Actor(user, client_address(request))
