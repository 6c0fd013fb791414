"""A reader cannot give up the role, look at predictions, take the role again and count as blind."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_analysis, make_bundle, make_clinic, make_study, make_superuser, make_user
from tests.house import browser
from tests.opinions import say
from xrayportal.access import ClinicAccess, access_of
from xrayportal.clinics import services
from xrayportal.clinics.models import Clinic, Membership, Role, User

pytestmark = pytest.mark.django_db


def seat_of_user(user: User, clinic: Clinic) -> ClinicAccess:
    return access_of(user, Membership.objects.filter(user=user, clinic=clinic).select_related("clinic"))


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

    access = access_of(admin, Membership.objects.filter(user=admin).select_related("clinic"))
    assert not say(access, old).was_blind
    assert say(access, new).was_blind
    untouched = access_of(other, Membership.objects.filter(user=other).select_related("clinic"))
    assert say(untouched, old).was_blind


@pytest.mark.parametrize("way", ["invite", "reactivate"])
def test_an_admin_who_left_and_came_back_to_read_is_not_blind(way: str) -> None:
    make_bundle()
    clinic = make_clinic(blind_first=True)
    old, new = make_study(clinic), make_study(clinic)
    make_analysis(old, finished_at=timezone.now() - timedelta(minutes=1))
    manager = seat_of_user(make_user(clinic, Role.ADMIN), clinic)
    person, reader = make_user(clinic, Role.ADMIN), make_user(clinic, Role.READER)
    for user in (person, reader):
        services.change_roles(clinic=manager.clinic, actor=manager.actor, user=user, roles=[])
        if way == "invite":
            services.invite(clinic=manager.clinic, actor=manager.actor, email=user.email, roles=[Role.READER])
        else:
            services.reactivate(clinic=manager.clinic, actor=manager.actor, user=user, roles=[Role.READER])
    make_analysis(new)

    assert not say(seat_of_user(person, clinic), old).was_blind
    assert say(seat_of_user(person, clinic), new).was_blind
    # Who only ever read saw nothing then.
    assert say(seat_of_user(reader, clinic), old).was_blind


def test_roles_that_support_takes_count_alike() -> None:
    make_bundle()
    clinic = make_clinic(blind_first=True)
    study = make_study(clinic)
    make_analysis(study, finished_at=timezone.now() - timedelta(minutes=1))
    person, support = make_user(clinic, Role.ADMIN), browser(make_superuser())
    membership = Membership.objects.get(user=person)
    removed = support.post(f"/admin/clinics/membership/{membership.pk}/delete/", {"post": "yes"})
    added = support.post(
        "/admin/clinics/membership/add/", {"user": person.pk, "clinic": clinic.pk, "role": Role.READER}
    )

    assert (removed.status_code, added.status_code) == (302, 302)
    assert not say(seat_of_user(person, clinic), study).was_blind
