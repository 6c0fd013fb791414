"""Changes of clinics and their members, each audited."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic, Membership, Role, User

#: E-mails with a link that one person is sent by one clinic within an hour.
LINKS_FOR_ONE = 3
_FLOOD_WINDOW = timedelta(hours=1)


class PeopleRefused(Exception):
    """Nothing was changed; ``str(error)`` is a sentence for the admin."""


def create_clinic(
    *,
    name: str,
    slug: str,
    time_zone: str = "UTC",
    blind_first: bool | None = None,
    actor: Actor,
) -> Clinic:
    """Create a clinic. Raises ValidationError where a field is wrong or the slug is taken.

    Without ``blind_first`` one of its admins decides about blind reading before the first study.
    """
    clinic = Clinic(
        name=name,
        slug=slug,
        time_zone=time_zone,
        blind_first=bool(blind_first),
        blind_first_decided=blind_first is not None,
    )
    clinic.full_clean()
    with transaction.atomic():
        clinic.save(force_insert=True)
        for chain in (clinic, None):
            record(
                clinic=chain,
                action=Action.CLINIC_CREATED,
                actor=actor,
                target=clinic,
            )
    return clinic


def add_member(
    *,
    clinic: Clinic,
    user: User,
    role: str,
    actor: Actor,
) -> Membership:
    """Give a person a role; a role that they have already is left as it is."""
    with transaction.atomic():
        _lock(clinic)
        held = sorted(Membership.objects.filter(clinic=clinic, user=user).values_list("role", flat=True))
        membership, is_new = Membership.objects.get_or_create(clinic=clinic, user=user, role=role)
        if is_new:
            record(
                clinic=clinic,
                action=Action.MEMBER_ADDED,
                actor=actor,
                target=user,
                detail={"role": str(role), "held": held},
            )
    return membership


def invite(*, clinic: Clinic, actor: Actor, email: str, roles: Collection[str]) -> User:
    """Give the person with this e-mail address the roles; a new account has no password until they choose it.

    The caller sends them the link of ``invitation_parts`` afterwards, outside the transaction. Raises
    `PeopleRefused` for no role, a superuser, a closed account, a person who is a member already, and where
    the clinic has sent too many e-mails.
    """
    if not roles:
        raise PeopleRefused(_("Choose at least one role."))
    email = User.objects.normalize_email(email).lower()
    with transaction.atomic():
        _lock(clinic)
        # Another clinic may invite them at the same moment.
        user, _new = User.objects.get_or_create(email=email, defaults={"password": make_password(None)})
        _refuse_support(user)
        if not user.is_active:
            raise PeopleRefused(_("This account is closed. The platform's support can reopen it."))
        if Membership.objects.filter(clinic=clinic, user=user).exists():
            raise PeopleRefused(_("This person is already in the clinic. Change their roles in the list."))
        _refuse_flood(clinic, user)
        Membership.objects.bulk_create(
            Membership(clinic=clinic, user=user, role=role) for role in sorted(set(roles))
        )
        record(
            clinic=clinic,
            action=Action.MEMBER_INVITED,
            actor=actor,
            target=user,
            detail={"roles": sorted(set(roles))},
        )
    return user


def record_link(*, clinic: Clinic, actor: Actor, user: User) -> None:
    """Audit that a member is sent a link again; the caller sends it. Raises `PeopleRefused` for too many."""
    with transaction.atomic():
        _lock(clinic)
        _refuse_flood(clinic, user)
        record(
            clinic=clinic,
            action=Action.MEMBER_INVITED,
            actor=actor,
            target=user,
            detail={"again": True},
        )


def change_roles(*, clinic: Clinic, actor: Actor, user: User, roles: Collection[str]) -> None:
    """Make these the person's roles; without any they have no access to the clinic any more.

    At least one active admin remains, also when two admins act at the same moment. Raises `PeopleRefused`
    for a person who is not a member, and for taking the last admin's role.
    """
    new = set(roles)
    with transaction.atomic():
        _lock(clinic)
        memberships = Membership.objects.filter(clinic=clinic)
        held = set(memberships.filter(user=user).values_list("role", flat=True))
        if not held:
            raise PeopleRefused(_("This person is no longer in the clinic."))
        if Role.ADMIN in held - new and not (
            memberships.filter(role=Role.ADMIN, user__is_active=True).exclude(user=user).exists()
        ):
            raise PeopleRefused(_("The clinic needs an admin. Make somebody else an admin first."))
        memberships.filter(user=user, role__in=held - new).delete()
        Membership.objects.bulk_create(
            Membership(clinic=clinic, user=user, role=role) for role in sorted(new - held)
        )
        changes = [(Action.MEMBER_REMOVED, role) for role in sorted(held - new)]
        changes += [(Action.MEMBER_ADDED, role) for role in sorted(new - held)]
        for action, role in changes:
            record(
                clinic=clinic,
                action=action,
                actor=actor,
                target=user,
                # The roles until now: reviews.blind and former_members_of read them.
                detail={"role": role, "held": sorted(held)},
            )


def reactivate(*, clinic: Clinic, actor: Actor, user: User, roles: Collection[str]) -> None:
    """Give a former member roles again; their password still holds.

    Raises `PeopleRefused` for no role, a superuser, a closed account, and a person who is a member already.
    """
    if not roles:
        raise PeopleRefused(_("Choose at least one role."))
    with transaction.atomic():
        _lock(clinic)
        if Membership.objects.filter(clinic=clinic, user=user).exists():
            raise PeopleRefused(_("This person is already in the clinic. Change their roles in the list."))
        _refuse_support(user)
        if not user.is_active:
            raise PeopleRefused(_("This account is closed. The platform's support can reopen it."))
        for role in sorted(set(roles)):
            Membership.objects.create(clinic=clinic, user=user, role=role)
            record(
                clinic=clinic,
                action=Action.MEMBER_ADDED,
                actor=actor,
                target=user,
                detail={"role": role, "held": []},
            )


def _refuse_support(user: User) -> None:
    """Refuse superusers: a role would show them patient content without a reason and a time limit."""
    if user.is_superuser:
        raise PeopleRefused(
            _("This address belongs to the platform's support, which has no role in a clinic.")
        )


def _refuse_flood(clinic: Clinic, user: User) -> None:
    """Refuse what would make the portal a sender of unwanted mail; the caller holds the clinic."""
    sent = AuditEvent.objects.filter(
        clinic=clinic, action=Action.MEMBER_INVITED, at__gt=timezone.now() - _FLOOD_WINDOW
    )
    if sent.filter(target_id=str(user.pk)).count() >= LINKS_FOR_ONE:
        raise PeopleRefused(
            _("This person was sent %(n)d e-mails within an hour. Try again later.") % {"n": LINKS_FOR_ONE}
        )
    if sent.count() >= settings.INVITATIONS_PER_HOUR:
        limit = settings.INVITATIONS_PER_HOUR
        raise PeopleRefused(
            _("The clinic sent %(n)d invitations within an hour. Try again later.") % {"n": limit}
        )


def _lock(clinic: Clinic) -> None:
    """Hold the clinic's row, so that changes of its people take turns."""
    Clinic.objects.select_for_update(no_key=True).get(pk=clinic.pk)
