"""People of a clinic: their roles, those who left, and the last admin."""

from __future__ import annotations

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from tests.factories import make_clinic
from tests.opinions import make_access
from tests.people.admins import client_of, link_of, roles_of, send
from tests.threads import at_once
from xrayportal.access import ClinicAccess
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics import people, services
from xrayportal.clinics.models import Clinic, Membership, Role, User

pytestmark = pytest.mark.django_db


def test_roles_change_and_a_person_without_any_is_out(clinic: Clinic, admin: ClinicAccess) -> None:
    access = make_access(clinic)
    send(admin, "people-roles", access.user.pk, roles=["admin", "uploader"])
    assert roles_of(access.user, clinic) == {"admin", "uploader"}
    client = client_of(access)
    assert client.get(reverse("people", args=[clinic.slug])).status_code == 200

    send(admin, "people-roles", access.user.pk, roles=["admin"], deactivate="1")

    assert roles_of(access.user, clinic) == set()
    assert client.get(reverse("worklist", args=[clinic.slug])).status_code == 404
    changes = AuditEvent.objects.filter(clinic=clinic, target_id=str(access.user.pk)).order_by("number")
    assert [(e.action, e.detail["role"]) for e in changes] == [
        (Action.MEMBER_REMOVED, "reader"),
        (Action.MEMBER_ADDED, "admin"),
        (Action.MEMBER_ADDED, "uploader"),
        (Action.MEMBER_REMOVED, "admin"),
        (Action.MEMBER_REMOVED, "uploader"),
    ]


def test_who_was_deactivated_is_listed_with_when_and_by_whom_and_can_come_back(
    clinic: Clinic, admin: ClinicAccess
) -> None:
    reader = make_access(clinic, Role.READER, first_name="Rosa", last_name="Lind").user
    Membership.objects.create(clinic=clinic, user=reader, role=Role.UPLOADER)
    services.change_roles(clinic=admin.clinic, actor=admin.actor, user=reader, roles={Role.READER})
    Membership.objects.create(clinic=clinic, user=reader, role=Role.ADMIN)
    assert people.former_members_of(clinic) == []
    send(admin, "people-roles", reader.pk, deactivate="1")
    (former,) = people.former_members_of(clinic)
    assert (former.user, former.by) == (reader, admin.user.email)
    # Those of the last time, not the one that was taken before.
    assert former.roles == {Role.READER, Role.ADMIN}
    page = client_of(admin).get(reverse("people", args=[clinic.slug])).content.decode()
    assert f"by {admin.user.email}" in page

    send(admin, "people-reactivate", reader.pk)
    assert roles_of(reader, clinic) == set()  # no role, no way in
    send(admin, "people-reactivate", reader.pk, roles=["reader"])
    assert roles_of(reader, clinic) == {"reader"}
    assert people.former_members_of(clinic) == []
    event = AuditEvent.objects.filter(clinic=clinic, action=Action.MEMBER_ADDED).latest("id")
    assert (event.target_id, event.detail) == (str(reader.pk), {"role": "reader", "held": []})


def test_only_a_former_member_of_this_clinic_is_reactivated(clinic: Clinic, admin: ClinicAccess) -> None:
    other = make_clinic()
    stranger = make_access(other, Role.READER).user
    services.change_roles(
        clinic=other,
        actor=make_access(other, Role.ADMIN).actor,
        user=stranger,
        roles=(),
    )
    for somebody in (stranger, make_access(clinic, Role.READER).user):
        answer = send(admin, "people-reactivate", somebody.pk, roles=["admin"])
        assert answer.status_code == 404
    assert roles_of(stranger, clinic) == set()


def test_a_closed_account_is_not_reactivated(clinic: Clinic, admin: ClinicAccess) -> None:
    reader = make_access(clinic, Role.READER).user
    services.change_roles(clinic=admin.clinic, actor=admin.actor, user=reader, roles=())
    User.objects.filter(pk=reader.pk).update(is_active=False)
    send(admin, "people-reactivate", reader.pk, roles=["reader"])
    assert roles_of(reader, clinic) == set()


def test_a_link_does_not_bring_back_who_was_deactivated(clinic: Clinic, admin: ClinicAccess) -> None:
    send(admin, "people-invite", email="a@example.org", roles=["reader"])
    person = User.objects.get(email="a@example.org")
    send(admin, "people-roles", person.pk, deactivate="1")

    assert Client().get(link_of(mail.outbox[0])).status_code == 404


def test_the_last_admin_stays(clinic: Clinic, admin: ClinicAccess) -> None:
    client = client_of(admin)
    where = reverse("people-roles", args=[clinic.slug, admin.user.pk])

    answer = client.post(where, {"roles": ["reader"]}, follow=True)

    assert "needs an admin" in answer.content.decode()
    assert roles_of(admin.user, clinic) == {"admin"}
    make_access(clinic, Role.ADMIN)
    assert client.post(where, {"roles": ["reader"]})["Location"] == reverse("home")


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_remove_each_other_leave_one() -> None:
    clinic = make_clinic()
    one, other = make_access(clinic, Role.ADMIN), make_access(clinic, Role.ADMIN)

    def remove(pair: tuple[ClinicAccess, User]) -> bool:
        access, victim = pair
        try:
            services.change_roles(clinic=access.clinic, actor=access.actor, user=victim, roles=[])
        except services.PeopleRefused:
            return False
        return True

    assert sorted(at_once(remove, [(one, other.user), (other, one.user)])) == [False, True]
    assert Membership.objects.filter(clinic=clinic, role=Role.ADMIN).count() == 1


@pytest.mark.parametrize("name", ["people-invite", "people-roles", "people-link"])
def test_only_admins_change_people(clinic: Clinic, name: str) -> None:
    victim = make_access(clinic).user
    args: list[object] = [] if name == "people-invite" else [victim.pk]
    for access in (make_access(clinic), make_access(clinic, Role.UPLOADER)):
        assert send(access, name, *args, email="a@example.org", roles=["admin"]).status_code == 404
    stranger = make_access(make_clinic(), Role.ADMIN)
    if args:
        # A person of another clinic is a missing row.
        assert send(stranger, name, *args, roles=["admin"]).status_code == 404
    assert roles_of(victim, clinic) == {"reader"}
