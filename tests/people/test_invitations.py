"""Invitations and links to choose a password: who gets one, and what it opens."""

from __future__ import annotations

import re
from datetime import timedelta
from smtplib import SMTPException
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from tests.factories import PASSWORD, make_clinic, make_superuser
from tests.opinions import make_access
from tests.people.admins import client_of, link_of, roles_of, send
from tests.threads import at_once
from xrayportal.access import ClinicAccess
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics import people, services
from xrayportal.clinics.models import Clinic, Membership, Role, User

pytestmark = pytest.mark.django_db
NEW_PASSWORD = "seven brass otters humming"


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

    def invite(access: ClinicAccess) -> User:
        return services.invite(
            clinic=access.clinic, actor=access.actor, email="new@example.org", roles=[Role.READER]
        )

    [person] = set(at_once(invite, accesses))
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
