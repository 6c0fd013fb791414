"""Who belongs to a clinic: invite, change roles, deactivate. Every change audited."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode
from django.utils.translation import gettext_lazy as _

from xrayportal.access import Seat
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import record
from xrayportal.clinics.models import Clinic, Membership, Role, User


class PeopleRefused(Exception):
    """Nothing was changed; ``str(error)`` is a sentence for the admin."""


@dataclass(frozen=True)
class Member:
    """A person of the clinic with their roles."""

    user: User
    roles: frozenset[str]

    @property
    def is_waiting(self) -> bool:
        """Invited, but has not chosen a password yet."""
        return not self.user.has_usable_password()


def members_of(clinic: Clinic) -> list[Member]:
    """Everybody with a role, by e-mail address; one query."""
    rows = Membership.objects.filter(clinic=clinic).select_related("user").order_by("user__email", "role")
    people: dict[User, set[str]] = {}
    for row in rows:
        people.setdefault(row.user, set()).add(row.role)
    return [Member(user, frozenset(roles)) for user, roles in people.items()]


@dataclass(frozen=True)
class FormerMember:
    """A person who had roles here: what these were, since when they have none, and who took them."""

    user: User
    roles: frozenset[str]
    since: datetime
    by: str


def former_members_of(clinic: Clinic) -> list[FormerMember]:
    """Everybody whose roles were taken and who has none now, the last one first; two queries."""
    last: dict[int, AuditEvent] = {}
    for event in AuditEvent.objects.filter(clinic=clinic, action=Action.MEMBER_REMOVED).order_by("-id"):
        last.setdefault(int(event.target_id), event)
    gone = User.objects.exclude(memberships__clinic=clinic).in_bulk(last)
    return [
        FormerMember(
            user=gone[pk],
            # Events of the platform's support once told the role alone.
            roles=frozenset(event.detail.get("held", [event.detail["role"]])),
            since=event.at,
            by=event.actor_label,
        )
        for pk, event in last.items()
        if pk in gone
    ]


def invite(*, seat: Seat, email: str, roles: Collection[str], address: str | None) -> User:
    """Give the person behind an e-mail address these roles; a new one gets no password until they choose it.

    The caller sends them ``invitation_parts`` afterwards, outside the transaction.
    """
    if not roles:
        raise PeopleRefused(_("Choose at least one role."))
    email = User.objects.normalize_email(email).lower()
    with transaction.atomic():
        _lock(seat.clinic)
        # Another clinic may invite them at the same moment.
        user, _new = User.objects.get_or_create(email=email, defaults={"password": make_password(None)})
        _refuse_support(user)
        if not user.is_active:
            raise PeopleRefused(_("This account is closed. The platform's support can open it."))
        if Membership.objects.filter(clinic=seat.clinic, user=user).exists():
            raise PeopleRefused(_("This person is in the clinic already: change their roles in the list."))
        Membership.objects.bulk_create(
            Membership(clinic=seat.clinic, user=user, role=role) for role in sorted(set(roles))
        )
        record(
            clinic=seat.clinic,
            action=Action.MEMBER_INVITED,
            actor=seat.user,
            target=user,
            detail={"roles": sorted(set(roles))},
            address=address,
        )
    return user


def change_roles(*, seat: Seat, user: User, roles: Collection[str], address: str | None) -> None:
    """Make these the person's roles; none deactivates them here. What they did stays with their name.

    One admin at least remains, whoever asks at the same moment.
    """
    wanted = set(roles)
    with transaction.atomic():
        _lock(seat.clinic)
        memberships = Membership.objects.filter(clinic=seat.clinic)
        held = set(memberships.filter(user=user).values_list("role", flat=True))
        if not held:
            raise PeopleRefused(_("This person is not in the clinic any more."))
        if Role.ADMIN in held - wanted and not (
            memberships.filter(role=Role.ADMIN, user__is_active=True).exclude(user=user).exists()
        ):
            raise PeopleRefused(_("The clinic needs an admin: make somebody else one first."))
        memberships.filter(user=user, role__in=held - wanted).delete()
        Membership.objects.bulk_create(
            Membership(clinic=seat.clinic, user=user, role=role) for role in sorted(wanted - held)
        )
        changes = [(Action.MEMBER_REMOVED, role) for role in sorted(held - wanted)]
        changes += [(Action.MEMBER_ADDED, role) for role in sorted(wanted - held)]
        for action, role in changes:
            record(
                clinic=seat.clinic,
                action=action,
                actor=seat.user,
                target=user,
                # What they could see and do until now: reviews.blind and former_members_of ask.
                detail={"role": role, "held": sorted(held)},
                address=address,
            )


def reactivate(*, seat: Seat, user: User, roles: Collection[str], address: str | None) -> None:
    """Give a former member roles again; their password still holds."""
    if not roles:
        raise PeopleRefused(_("Choose at least one role."))
    with transaction.atomic():
        _lock(seat.clinic)
        if Membership.objects.filter(clinic=seat.clinic, user=user).exists():
            raise PeopleRefused(_("This person is in the clinic already: change their roles in the list."))
        _refuse_support(user)
        if not user.is_active:
            raise PeopleRefused(_("This account is closed. The platform's support can open it."))
        for role in sorted(set(roles)):
            Membership.objects.create(clinic=seat.clinic, user=user, role=role)
            record(
                clinic=seat.clinic,
                action=Action.MEMBER_ADDED,
                actor=seat.user,
                target=user,
                detail={"role": role, "held": []},
                address=address,
            )


def invitation_parts(user: User) -> tuple[str, str]:
    """The two parts of the signed link to a new password.

    It works once: a password or a sign-in ends it, and so does ``PASSWORD_RESET_TIMEOUT``.
    """
    return urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)


def invited_user(uid: str, token: str) -> User | None:
    """Whose link this is, while it holds: an ordinary person with a role, who did not use it yet."""
    try:
        pk = int(urlsafe_base64_decode(uid).decode())
    except (ValueError, UnicodeDecodeError):
        return None
    people = User.objects.filter(is_active=True, is_staff=False, is_superuser=False)
    user = people.filter(pk=pk, memberships__isnull=False).distinct().first()
    return user if user and default_token_generator.check_token(user, token) else None


def _refuse_support(user: User) -> None:
    """Superusers see patient content for a reason and a while; a role would go round that."""
    if user.is_superuser:
        raise PeopleRefused(_("This address is of the platform's support, who have no role in a clinic."))


def _lock(clinic: Clinic) -> None:
    """Changes of a clinic's people take turns."""
    Clinic.objects.select_for_update(no_key=True).get(pk=clinic.pk)
