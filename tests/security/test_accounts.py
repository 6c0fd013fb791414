"""Accounts: passwords are the person's own, every change is audited, a superuser's access ends in time."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from tests.factories import PASSWORD, make_study, make_user
from tests.house import House, browser
from tests.threads import at_once
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import verify
from xrayportal.clinics import people, services, sign_in
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Membership, Role, User

pytestmark = pytest.mark.django_db
NEW = "another horse entirely 7"


def change(client: Client, old: str = PASSWORD) -> int:
    entered = {"old_password": old, "new_password1": NEW, "new_password2": NEW}
    return client.post(reverse("password"), entered).status_code


def test_a_person_changes_their_password_and_other_devices_go(house: House) -> None:
    here, there = browser(house.reader), browser(house.reader)
    assert change(here) == 302
    house.reader.refresh_from_db()
    assert house.reader.check_password(NEW)
    page = reverse("submissions", args=[house.clinic.slug])
    assert here.get(page).status_code == 200
    assert there.get(page).status_code == 302
    event = AuditEvent.objects.get(action=Action.PASSWORD_CHANGED)
    assert (event.clinic, event.target_id) == (None, str(house.reader.pk))


def test_guessing_the_present_password_counts(house: House) -> None:
    client = browser(house.reader)
    for _ in range(sign_in.ACCOUNT_LIMIT):
        assert change(client, "a guess") == 200
    assert change(client) == 200
    house.reader.refresh_from_db()
    assert house.reader.check_password(PASSWORD)


def test_links_to_passwords_are_on_record(house: House) -> None:
    link = reverse("people-link", args=[house.clinic.slug, house.reader.pk])
    assert browser(house.admin).post(link).status_code == 302
    assert len(mail.outbox) == 1
    event = AuditEvent.objects.get(clinic=house.clinic, action=Action.MEMBER_INVITED)
    assert (event.target_id, event.detail) == (str(house.reader.pk), {"again": True})
    uid, token = people.invitation_parts(house.reader)
    entered = {"last_name": "Roe", "new_password1": NEW, "new_password2": NEW}
    assert Client().post(reverse("invitation", args=[uid, token]), entered).status_code == 302
    assert AuditEvent.objects.filter(action=Action.PASSWORD_CHANGED).count() == 1
    # Once only, and never for somebody else.
    assert Client().post(reverse("invitation", args=[uid, token]), entered).status_code == 404
    other, _ = people.invitation_parts(house.admin)
    assert Client().get(reverse("invitation", args=[other, token])).status_code == 404


def test_a_link_ends_with_another_address(house: House) -> None:
    uid, token = people.invitation_parts(house.reader)
    house.reader.email = "elsewhere@example.org"
    house.reader.save()
    assert people.invited_user(uid, token) is None


@pytest.mark.parametrize("uid", ["%FF", "MQ==", "LTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "\N{SNOWMAN}"])
def test_a_made_up_link_leads_nowhere(uid: str, client: Client) -> None:
    assert client.get(f"/invitations/{uid}/abc-def/").status_code == 404


def test_a_clinic_name_is_no_header(house: House) -> None:
    house.clinic.name = "North\r\nBcc: everybody@example.org"
    house.clinic.save()
    link = reverse("people-link", args=[house.clinic.slug, house.reader.pk])
    assert browser(house.admin).post(link).status_code == 302
    assert mail.outbox[0].subject.endswith("North Bcc: everybody@example.org")


def test_a_granted_look_is_only_a_look_and_ends_early(house: House) -> None:
    study = make_study(house.clinic)
    client = browser(house.superuser)
    slug = house.clinic.slug
    page = reverse("submissions", args=[slug])
    client.post(reverse("content-access", args=[slug]), {"reason": "support case 4711"})
    assert client.get(page).status_code == 200
    posts: list[tuple[str, list[object]]] = [
        ("submissions", [slug]),
        ("upload", [slug]),
        ("analysis-request", [slug, study.pk]),
        ("review-save", [slug, study.pk]),
        ("review-sign", [slug, study.pk]),
        ("adjudicator", [slug, study.pk]),
        ("submission-finish", [slug, study.submission_id]),
        ("submission-cancel", [slug, study.submission_id]),
        ("submission-retry", [slug, study.submission_id]),
        ("submission-uploads", [slug, study.submission_id]),
        ("people-invite", [slug]),
        ("history-export", [slug]),
        ("clinic-settings", [slug]),
        ("worklist-bulk-action", [slug]),
        ("saved-views", [slug]),
    ]
    for name, args in posts:
        assert client.post(reverse(name, args=args)).status_code == 404, name
    assert browser(house.admin).post(reverse("content-access-end", args=[slug])).status_code == 404
    for _ in range(2):
        assert client.post(reverse("content-access-end", args=[slug])).status_code == 302
    assert client.get(page).status_code == 404
    ended = AuditEvent.objects.filter(action=Action.CONTENT_ACCESS_ENDED)
    assert {event.clinic_id for event in ended} == {house.clinic.pk, None}
    assert ended.count() == 2
    assert verify(clinic=house.clinic).is_whole


def test_a_superuser_neither_takes_a_role_nor_sets_a_password(house: House) -> None:
    client = browser(house.superuser)
    add = reverse("admin:clinics_membership_add")
    role = {"user": house.superuser.pk, "clinic": str(house.clinic.pk), "role": Role.READER}
    assert client.post(add, role).status_code == 200
    assert not Membership.objects.filter(user=house.superuser).exists()
    address = reverse("admin:auth_user_password_change", args=[house.reader.pk])
    entered = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    assert client.post(address, entered).status_code == 302
    house.reader.refresh_from_db()
    assert house.reader.check_password(PASSWORD)


def test_an_admin_gives_no_superuser_a_role(house: House) -> None:
    """A superuser opens a clinic's content with a reason, for half an hour; a role would bypass that."""
    arguments = {"clinic": house.clinic, "actor": Actor(house.admin), "roles": [Role.READER]}
    with pytest.raises(services.PeopleRefused, match="no role in a clinic"):
        services.invite(email=house.superuser.email, **arguments)
    with pytest.raises(services.PeopleRefused, match="no role in a clinic"):
        services.reactivate(user=house.superuser, **arguments)
    assert not Membership.objects.filter(user=house.superuser).exists()


def test_nobody_is_superuser_and_member(house: House) -> None:
    root, member = browser(house.superuser), browser(house.reader)
    account = reverse("admin:clinics_user_change", args=[house.reader.pk])
    entered = {"email": house.reader.email, "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    page = reverse("worklist", args=[house.clinic.slug])
    assert "remove them first" in root.post(account, entered).content.decode()
    assert member.get(page).status_code == 200
    # However both came about, the role does not count: not for the page, nor for the way to it.
    User.objects.filter(pk=house.reader.pk).update(is_superuser=True)
    assert member.get(page).status_code == 404
    assert reverse("content-access", args=[house.clinic.slug]) in member.get("/").content.decode()
    Membership.objects.filter(user=house.reader).delete()
    assert root.post(account, entered).status_code == 302


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("door", ["sign-in", "password"])
def test_guesses_at_once_gain_nothing(house: House, door: str) -> None:
    guesses = sign_in.ACCOUNT_LIMIT + 3
    clients = [browser(house.reader if door == "password" else None) for _ in range(guesses)]

    def guess(client: Client) -> int:
        wrong = {"username": house.reader.email, "password": "wrong", "old_password": "wrong"}
        return client.post(reverse(door), wrong).status_code

    assert set(at_once(guess, clients)) == {200}
    assert AuditEvent.objects.filter(action=Action.SIGN_IN_FAILED).count() == sign_in.ACCOUNT_LIMIT


def test_the_platform_knows_who_changed_an_account(house: House) -> None:
    address = reverse("admin:clinics_user_change", args=[house.reader.pk])
    entered = {"email": "elsewhere@example.org", "is_active": "on"}
    assert browser(house.superuser).post(address, entered).status_code == 302
    event = AuditEvent.objects.get(action=Action.PERSON_CHANGED)
    assert event.clinic is None
    assert event.detail == {"fields": ["email"], "created": False}


def test_staff_make_themselves_nothing(house: House) -> None:
    staff = make_user(None, is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__in=["change_user", "view_user"]))
    address = reverse("admin:clinics_user_change", args=[staff.pk])
    entered = {"email": staff.email, "is_active": "on", "is_superuser": "on", "is_staff": "on"}
    assert browser(staff).post(address, entered).status_code == 403


def test_links_lead_to_the_configured_address(house: House, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://portal.example"
    link = reverse("people-link", args=[house.clinic.slug, house.reader.pk])
    client = browser(house.admin)
    assert client.post(link, headers={"host": "127.0.0.1"}).status_code == 302
    assert "https://portal.example/invitations/" in mail.outbox[0].body
    assert client.post(link, headers={"host": "evil.example"}).status_code == 400
    assert client.post(link, headers={"x-forwarded-host": "evil.example"}).status_code == 302
    assert not any("evil" in message.body for message in mail.outbox)


def test_signing_out_forgets_the_pictures(house: House) -> None:
    response = browser(house.reader).post(reverse("sign-out"))
    assert response.headers["Clear-Site-Data"] == '"cache"'
