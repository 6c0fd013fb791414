"""Clinics and their members: every change audited."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.http import HttpRequest

from xrayportal import access
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.models import Clinic, Membership, User
from xrayportal.security import client_address


def create_clinic(
    *,
    name: str,
    slug: str,
    time_zone: str = "UTC",
    actor: User | None = None,
    actor_label: str = "",
    address: str | None = None,
) -> Clinic:
    """Make a clinic. Raises ValidationError with sentences where a field is wrong or the slug is taken."""
    clinic = Clinic(name=name, slug=slug, time_zone=time_zone)
    clinic.full_clean()
    with transaction.atomic():
        clinic.save(force_insert=True)
        for chain in (clinic, None):
            record(
                clinic=chain,
                action=Action.CLINIC_CREATED,
                actor=actor,
                actor_label=actor_label,
                target=clinic,
                address=address,
            )
    return clinic


def add_member(
    *,
    clinic: Clinic,
    user: User,
    role: str,
    actor: User | None = None,
    actor_label: str = "",
    address: str | None = None,
) -> Membership:
    """Give a person a role; one that they have already is left as it is."""
    with transaction.atomic():
        membership, is_new = Membership.objects.get_or_create(clinic=clinic, user=user, role=role)
        if is_new:
            record(
                clinic=clinic,
                action=Action.MEMBER_ADDED,
                actor=actor,
                actor_label=actor_label,
                target=user,
                detail={"role": str(role)},
                address=address,
            )
    return membership


def grant_content(*, request: HttpRequest, clinic: Clinic, user: User, reason: str) -> datetime:
    """Let a superuser see one clinic's content for half an hour in this session; both chains know why."""
    until = access.grant_content(request, clinic)
    detail = {"reason": reason, "until": until.isoformat()}
    _tell_both(Action.CONTENT_ACCESS_GRANTED, request=request, clinic=clinic, user=user, detail=detail)
    return until


def end_content(*, request: HttpRequest, clinic: Clinic, user: User) -> None:
    """Close it before its time; both chains know. Harmless where it is closed already."""
    if access.end_content(request, clinic):
        _tell_both(Action.CONTENT_ACCESS_ENDED, request=request, clinic=clinic, user=user, detail={})


def _tell_both(
    action: Action, *, request: HttpRequest, clinic: Clinic, user: User, detail: dict[str, str]
) -> None:
    with transaction.atomic():
        for chain in (clinic, None):
            record(
                clinic=chain,
                action=action,
                actor=user,
                target=clinic,
                detail=detail,
                address=client_address(request),
            )
