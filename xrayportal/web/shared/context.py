"""The context of every page's frame: the access, the clinics to switch to, the bundle in use."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from xrayportal.access import ClinicAccess, Permission, access_of, memberships_of
from xrayportal.analyses.models import Bundle
from xrayportal.clinics.models import User
from xrayportal.worklist.digests import take_notices


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context of the frame; a page that shows none of it costs no query.

    ``access`` (None outside a clinic), ``roles``, ``may`` (permission name in lower case → bool),
    ``accesses`` (all of the person's, for the switcher), ``active_bundle`` (lazy, may be None),
    ``content_access_until`` (end of a superuser's look at patient content; shown as a banner) and
    ``notices`` (the person's submissions that are done; reading this value marks them as seen).
    """
    access: ClinicAccess | None = getattr(request, "access", None)
    return {
        "access": access,
        "roles": access.roles if access else frozenset(),
        "may": {
            permission.name.lower(): access is not None and access.may(permission)
            for permission in Permission
        },
        "accesses": SimpleLazyObject(lambda: accesses_of(request)),
        "active_bundle": SimpleLazyObject(lambda: Bundle.objects.active().first()),
        "content_access_until": access.granted_until if access else None,
        "notices": SimpleLazyObject(lambda: take_notices(access.user) if access else []),
    }


def accesses_of(request: HttpRequest) -> list[ClinicAccess]:
    """The signed-in person's accesses, one for each clinic, by the clinic's name; empty without a sign-in."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return []
    memberships = sorted(memberships_of(user), key=lambda row: (row.clinic.name, str(row.clinic_id)))
    by_clinic = groupby(memberships, key=lambda row: row.clinic_id)
    return [access_of(user, rows) for _, rows in by_clinic]
