"""People and clinic settings: invitations, roles, the last admin, thresholds within the bundle's limits."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from smtplib import SMTPException
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from tests.factories import PASSWORD, make_bundle, make_clinic, make_superuser
from tests.opinions import make_access
from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Bundle
from xrayportal.analyses.services import thresholds_for
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics import people, services
from xrayportal.clinics.models import Clinic, Membership, Role, User

pytestmark = pytest.mark.django_db
NEW_PASSWORD = "seven brass otters humming"


def client_of(access: ClinicAccess) -> Client:
    client = Client()
    client.force_login(access.user)
    return client


def send(access: ClinicAccess, to: str, /, *args: object, **data: Any) -> Any:
    return client_of(access).post(reverse(to, args=[access.clinic.slug, *args]), data)


def link_of(message: mail.EmailMessage) -> str:
    link = re.search(r"http://testserver(/\S+)", str(message.body))
    assert link
    return link[1]


def roles_of(user: User, clinic: Clinic) -> set[str]:
    return set(Membership.objects.filter(user=user, clinic=clinic).values_list("role", flat=True))


def test_an_invited_person_comes_in_once(clinic: Clinic, admin: ClinicAccess) -> None:
    answer = send(admin, "people-invite", email="New.Reader@Example.org", roles=["reader", "uploader"])
    assert answer.status_code == 302
    person = User.objects.get(email="new.reader@example.org")
    assert roles_of(person, clinic) == {"reader", "uploader"}
    assert not person.has_usable_password()
    assert "Invited" in client_of(admin).get(reverse("people", args=[clinic.slug])).content.decode()
    [message] = mail.outbox
    assert message.to == ["new.reader@example.org"]
    link = link_of(message)

    visitor = Client()
    assert visitor.get(link).status_code == 200
    weak = visitor.post(link, {"last_name": "Reader", "new_password1": "12345", "new_password2": "12345"})
    assert weak.status_code == 422
    chosen = {"last_name": "Reader", "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    assert visitor.post(link, chosen)["Location"] == reverse("sign-in")
    person.refresh_from_db()
    assert (person.get_full_name(), person.check_password(NEW_PASSWORD)) == ("Reader", True)
    assert visitor.get(link).status_code == 404
    events = AuditEvent.objects.filter(clinic=clinic, action=Action.MEMBER_INVITED)
    assert [(e.target_id, e.detail) for e in events] == [(str(person.pk), {"roles": ["reader", "uploader"]})]


CONSOLE = "django.core.mail.backends.console.EmailBackend"


def test_without_a_mail_server_the_invitation_is_shown_to_copy(
    clinic: Clinic, admin: ClinicAccess, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = CONSOLE
    answer = send(admin, "people-invite", email="new@example.org", roles=["reader"])
    page = answer.content.decode()
    assert "E-mail sent" not in page
    assert "nothing was sent" in page
    link = re.search(r'value="http://testserver(/invitations/[^"]+)"', page)
    assert link
    assert Client().get(link[1]).status_code == 200
    again = send(admin, "people-link", User.objects.get(email="new@example.org").pk)
    assert "/invitations/" in again.content.decode()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_nobody_sees_a_link_that_opens_more_than_an_invitation(
    clinic: Clinic, admin: ClinicAccess, settings: Settings, elsewhere: bool
) -> None:
    """Not of a person with a password, nor of one whom another clinic has invited, too."""
    settings.EMAIL_BACKEND = CONSOLE
    person = make_access(clinic).user
    if elsewhere:
        person.set_unusable_password()
        person.save()
        Membership.objects.create(clinic=make_clinic(), user=person, role=Role.READER)
    answer = client_of(admin).post(reverse("people-link", args=[clinic.slug, person.pk]), follow=True)
    page = answer.content.decode()
    assert "/invitations/" not in page
    assert "No mail server is set up" in page
    assert "E-mail sent" not in page


def test_somebody_with_an_account_is_told_to_sign_in(clinic: Clinic, admin: ClinicAccess) -> None:
    other = make_access(make_clinic()).user

    send(admin, "people-invite", email=other.email.upper(), roles=["reader"])

    assert roles_of(other, clinic) == {"reader"}
    assert link_of(mail.outbox[0]) == reverse("sign-in")
    other.refresh_from_db()
    assert other.check_password(PASSWORD)


@pytest.mark.django_db(transaction=True)
def test_clinics_that_invite_somebody_at_once_invite_the_same_person() -> None:
    accesses = [make_access(make_clinic(), Role.ADMIN) for _ in range(4)]
    ready = threading.Barrier(len(accesses))

    def invite(access: ClinicAccess) -> User:
        try:
            ready.wait(timeout=10)
            return services.invite(
                clinic=access.clinic, actor=access.actor, email="new@example.org", roles=[Role.READER]
            )
        finally:
            connection.close()

    with ThreadPoolExecutor(len(accesses)) as pool:
        [person] = set(pool.map(invite, accesses))
    assert person.memberships.count() == len(accesses)
    assert not person.has_usable_password()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"email": "nobody", "roles": ["reader"]}, "valid email"),
        ({"email": "a@example.org"}, "required"),
        ({"email": "a@example.org", "roles": ["owner"]}, "not one of the available choices"),
    ],
)
def test_a_bad_invitation_is_a_sentence(admin: ClinicAccess, data: dict[str, Any], sentence: str) -> None:
    answer = send(admin, "people-invite", **data)

    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert mail.outbox == []


def test_who_is_here_already_is_not_invited_again(clinic: Clinic, admin: ClinicAccess) -> None:
    answer = send(admin, "people-invite", email=make_access(clinic).user.email, roles=["admin"])
    assert answer.status_code == 422
    assert "already in the clinic" in answer.content.decode()


def test_an_e_mail_that_fails_leaves_the_person_in_the_list(
    clinic: Clinic, admin: ClinicAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> int:
        raise SMTPException

    monkeypatch.setattr("xrayportal.web.people.views.send_mail", refuse)
    client = client_of(admin)
    answer = client.post(
        reverse("people-invite", args=[clinic.slug]),
        {"email": "a@example.org", "roles": ["reader"]},
        follow=True,
    )

    assert "could not be sent" in answer.content.decode()
    assert User.objects.filter(email="a@example.org", memberships__clinic=clinic).exists()


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


def test_a_forgotten_password_is_a_link_to_the_person(clinic: Clinic, admin: ClinicAccess) -> None:
    access = make_access(clinic)

    send(admin, "people-link", access.user.pk)

    assert mail.outbox[0].to == [access.user.email]
    assert Client().get(link_of(mail.outbox[0])).status_code == 200


def test_no_clinic_sends_a_link_for_the_platforms_staff(clinic: Clinic) -> None:
    boss = make_superuser()
    Membership.objects.create(clinic=clinic, user=boss, role=Role.READER)

    assert people.invited_user(*people.invitation_parts(boss)) is None


@pytest.mark.parametrize("uid", ["x", "!!", "MQ", "999999999999999999999"])
def test_a_made_up_link_has_ended(uid: str) -> None:
    assert Client().get(reverse("invitation", args=[uid, "set-password"])).status_code == 404


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
    start = threading.Barrier(2)

    def remove(access: ClinicAccess, victim: User) -> bool:
        try:
            start.wait(timeout=10)
            services.change_roles(clinic=access.clinic, actor=access.actor, user=victim, roles=[])
        except services.PeopleRefused:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(remove, [one, other], [other.user, one.user]))

    assert sorted(done) == [False, True]
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


def settings(**changes: Any) -> dict[str, Any]:
    return {"name": "Clinic", "time_zone": "Europe/Berlin", **changes}


def test_settings_are_saved_and_audited(clinic: Clinic, admin: ClinicAccess) -> None:
    bundle = make_bundle()

    answer = send(
        admin,
        "clinic-settings",
        **settings(blind_first="on", threshold_low="0.3", threshold_high="0.8", retention_days="365"),
    )

    assert answer.status_code == 302
    clinic.refresh_from_db()
    assert (clinic.blind_first, clinic.retention_days, clinic.time_zone) == (True, 365, "Europe/Berlin")
    assert thresholds_for(clinic, bundle) == (0.3, 0.8, True)
    event = AuditEvent.objects.get(clinic=clinic, action=Action.CLINIC_CHANGED)
    assert event.detail == {
        "name": "Clinic",
        "time_zone": "Europe/Berlin",
        "blind_first": True,
        "threshold_low": 0.3,
        "threshold_high": 0.8,
        "retention_days": 365,
    }
    send(
        admin,
        "clinic-settings",
        **settings(blind_first="on", threshold_low="0.3", threshold_high="0.8", retention_days="365"),
    )
    assert AuditEvent.objects.filter(clinic=clinic, action=Action.CLINIC_CHANGED).count() == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"threshold_low": "0.01", "threshold_high": "0.7"}, "allows 0.05 to 0.4"),
        ({"threshold_low": "0.2", "threshold_high": "0.99"}, "allows 0.5 to 0.95"),
        ({"threshold_low": "0.2"}, "both thresholds"),
        ({"threshold_high": "0.7"}, "both thresholds"),
        ({"threshold_low": "nan", "threshold_high": "0.7"}, "Enter a number"),
        ({"retention_days": "0"}, "at least 1 day"),
        ({"time_zone": "Mars/Olympus"}, "not a known time zone"),
        ({"time_zone": "localtime"}, "not a known time zone"),
        ({"time_zone": "York"}, "not a known time zone"),
        ({"name": ""}, "required"),
    ],
)
def test_settings_out_of_bounds_are_sentences(
    clinic: Clinic, admin: ClinicAccess, changes: dict[str, str], sentence: str
) -> None:
    make_bundle()

    answer = send(admin, "clinic-settings", **settings(**changes))

    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    before = clinic.name
    clinic.refresh_from_db()
    assert clinic.name == before
    assert AuditEvent.objects.filter(clinic=clinic).count() == 0


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        (" oslo ", "Europe/Oslo"),
        ("new york", "America/New_York"),
        ("europe/berlin", "Europe/Berlin"),
        ("utc", "UTC"),
    ],
)
def test_a_city_finds_its_time_zone(clinic: Clinic, admin: ClinicAccess, text: str, zone: str) -> None:
    make_bundle()
    page = client_of(admin).get(reverse("clinic-settings", args=[clinic.slug])).content.decode()
    assert 'list="zones"' in page
    assert 'aria-describedby="id_time_zone_hint"' in page
    assert f'<option value="{zone}">' in page
    assert send(admin, "clinic-settings", **settings(time_zone=text)).status_code == 302
    clinic.refresh_from_db()
    assert clinic.time_zone == zone


def test_without_a_bundle_there_are_no_thresholds(clinic: Clinic, admin: ClinicAccess) -> None:
    Bundle.objects.update(is_active=False)
    page = client_of(admin).get(reverse("clinic-settings", args=[clinic.slug])).content.decode()
    assert "No model version is active" in page

    send(admin, "clinic-settings", **settings(threshold_low="0.3", threshold_high="0.8"))
    clinic.refresh_from_db()
    assert (clinic.threshold_low, clinic.name) == (None, "Clinic")


def test_nobody_is_flooded_with_links(clinic: Clinic, admin: ClinicAccess) -> None:
    send(admin, "people-invite", email="a@example.org", roles=["reader"])
    person = User.objects.get(email="a@example.org")
    for _ in range(services.LINKS_FOR_ONE + 2):
        answer = send(admin, "people-link", person.pk)
        assert answer.status_code == 302
    assert len(mail.outbox) == services.LINKS_FOR_ONE
    page = client_of(admin).get(reverse("people", args=[clinic.slug])).content.decode()
    assert person.email in page
    later = timezone.now() + timedelta(hours=1, seconds=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xrayportal.clinics.services.timezone.now", lambda: later)
        services.record_link(clinic=clinic, actor=admin.actor, user=person)


def test_a_clinic_sends_no_more_invitations_than_its_limit(
    clinic: Clinic, admin: ClinicAccess, settings: Settings
) -> None:
    settings.INVITATIONS_PER_HOUR = 2
    for number in range(4):
        answer = send(admin, "people-invite", email=f"p{number}@example.org", roles=["reader"])
    assert answer.status_code == 422
    assert "sent 2 invitations within an hour" in answer.content.decode()
    assert [message.to for message in mail.outbox] == [["p0@example.org"], ["p1@example.org"]]
    assert not User.objects.filter(email="p2@example.org").exists()
    other = make_access(make_clinic(), Role.ADMIN)
    assert send(other, "people-invite", email="p2@example.org", roles=["reader"]).status_code == 302
