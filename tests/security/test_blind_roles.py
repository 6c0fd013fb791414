"""Nobody steps out of blind reading, looks, and steps back in."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_analysis, make_bundle, make_clinic, make_study, make_user
from tests.portal.conftest import browser
from tests.reviews.people import say
from xrayportal.clinics.access import seat_of
from xrayportal.clinics.models import Membership, Role

pytestmark = pytest.mark.django_db


def test_an_admin_who_stops_reading_for_a_moment_is_not_blind() -> None:
    make_bundle()
    clinic = make_clinic(blind_first=True)
    old, new = make_study(clinic), make_study(clinic)
    make_analysis(old, finished_at=timezone.now() - timedelta(minutes=1))
    admin, other = make_user(clinic, Role.ADMIN, Role.READER), make_user(clinic, Role.READER)
    client = browser(admin)
    address = reverse("people-roles", args=[clinic.slug, admin.pk])
    assert client.post(address, {"roles": [Role.ADMIN]}).status_code == 302
    assert client.post(address, {"roles": [Role.ADMIN, Role.READER]}).status_code == 302
    make_analysis(new)

    seat = seat_of(admin, Membership.objects.filter(user=admin).select_related("clinic"))
    assert not say(seat, old).was_blind
    assert say(seat, new).was_blind
    untouched = seat_of(other, Membership.objects.filter(user=other).select_related("clinic"))
    assert say(untouched, old).was_blind
