"""Who acts, and from where: what every service that changes something is told."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest

from xrayportal.clinics.models import User
from xrayportal.security import client_address


@dataclass(frozen=True, slots=True)
class Actor:
    """A person with the address that they came from, or what acts by itself, by its ``name``."""

    user: User | None = None
    address: str | None = None
    name: str = ""

    @property
    def user_id(self) -> str:
        """The person's id as the audit keeps it; empty for none."""
        return str(self.user.pk) if self.user else ""

    @property
    def label(self) -> str:
        """What the audit calls them, also when the account is gone."""
        return self.name or (self.user.email if self.user else "")


PORTAL = Actor(name="portal")
COMMAND_LINE = Actor(name="command line")


def actor_of(request: HttpRequest) -> Actor:
    """Who sends this request; nobody's name before a sign-in."""
    user = request.user if isinstance(request.user, User) else None
    return Actor(user, client_address(request))
