"""A clinic's members and former members, and the link by which an invited person chooses a password."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.tokens import default_token_generator
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import Clinic, Membership, User


@dataclass(frozen=True)
class Member:
    """A person of the clinic with their roles."""

    user: User
    roles: frozenset[str]

    @property
    def is_waiting(self) -> bool:
        """Whether they were invited and have not chosen a password yet."""
        return not self.user.has_usable_password()


def members_of(clinic: Clinic) -> list[Member]:
    """Everybody with a role in the clinic, by e-mail address; one query."""
    rows = Membership.objects.filter(clinic=clinic).select_related("user").order_by("user__email", "role")
    people: dict[User, set[str]] = {}
    for row in rows:
        people.setdefault(row.user, set()).add(row.role)
    return [Member(user, frozenset(roles)) for user, roles in people.items()]


@dataclass(frozen=True)
class FormerMember:
    """A person who had ``roles`` in the clinic until ``since``, when ``by`` took the last of them."""

    user: User
    roles: frozenset[str]
    since: datetime
    by: str


def former_members_of(clinic: Clinic) -> list[FormerMember]:
    """Everybody who had roles in the clinic and has none now, the most recent first; two queries."""
    removals: dict[int, AuditEvent] = {}
    for event in AuditEvent.objects.filter(clinic=clinic, action=Action.MEMBER_REMOVED).order_by("-number"):
        removals.setdefault(int(event.target_id), event)
    former = User.objects.exclude(memberships__clinic=clinic).in_bulk(removals)
    return [
        FormerMember(
            user=former[pk],
            # Events of the platform's support once held the role alone.
            roles=frozenset(event.detail.get("held", [event.detail["role"]])),
            since=event.at,
            by=event.actor_label,
        )
        for pk, event in removals.items()
        if pk in former
    ]


def invitation_parts(user: User) -> tuple[str, str]:
    """The ``uid`` and ``token`` of the signed link by which this person chooses a password.

    It works once: a password or a sign-in ends it, and so does ``PASSWORD_RESET_TIMEOUT``.
    """
    return urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)


def may_pass_on(clinic: Clinic, user: User) -> bool:
    """Whether an admin of the clinic may see the person's invitation, to pass it on by hand.

    Only while they have no password, and no role in another clinic that the link would open, too.
    """
    elsewhere = Membership.objects.filter(user=user).exclude(clinic=clinic)
    return not user.has_usable_password() and not elsewhere.exists()


def invited_user(uid: str, token: str) -> User | None:
    """The person whose link this is, or None where it does not hold.

    It holds for active people with a role, never for staff or superusers, until it is used or too old.
    """
    try:
        pk = int(urlsafe_base64_decode(uid).decode())
    except (ValueError, UnicodeDecodeError):
        return None
    people = User.objects.filter(is_active=True, is_staff=False, is_superuser=False)
    user = people.filter(pk=pk, memberships__isnull=False).distinct().first()
    return user if user and default_token_generator.check_token(user, token) else None
