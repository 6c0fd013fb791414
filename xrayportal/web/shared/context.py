"""What the frame of every page shows: the seat, the clinics to switch to, the bundle in use."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from xrayportal.access import Permit, Seat, places_of, seat_of
from xrayportal.analyses.models import Bundle
from xrayportal.clinics.models import User
from xrayportal.worklist.digests import take_notices


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context of the frame; a page that shows none of it costs no query.

    ``seat`` (None outside a clinic), ``roles``, ``may`` (permit name in lower case → bool), ``seats`` (all
    seats of the person, for the switcher), ``active_bundle`` (lazy, may be None)
    ``content_access_until`` (end of a superuser's look at patient content; shown as a banner) and
    ``notices`` (submissions of theirs that are done; who looks at them has been told).
    """
    seat: Seat | None = getattr(request, "seat", None)
    return {
        "seat": seat,
        "roles": seat.roles if seat else frozenset(),
        "may": {permit.name.lower(): seat is not None and seat.may(permit) for permit in Permit},
        "seats": SimpleLazyObject(lambda: seats_of(request)),
        "active_bundle": SimpleLazyObject(lambda: Bundle.objects.filter(is_active=True).first()),
        "content_access_until": seat.granted_until if seat else None,
        "notices": SimpleLazyObject(lambda: take_notices(seat.user) if seat else []),
    }


def seats_of(request: HttpRequest) -> list[Seat]:
    """The signed-in person's seats, one a clinic, by the clinic's name."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return []
    places = sorted(places_of(user), key=lambda place: (place.clinic.name, str(place.clinic_id)))
    by_clinic = groupby(places, key=lambda place: place.clinic_id)
    return [seat_of(user, rows) for _, rows in by_clinic]
