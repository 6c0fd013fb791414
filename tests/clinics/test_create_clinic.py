"""``manage.py create_clinic``."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from tests.factories import PASSWORD, make_clinic, make_superuser, make_user
from xrayportal.audit.models import AuditEvent
from xrayportal.clinics.models import Clinic, Membership, User

pytestmark = pytest.mark.django_db


def create(*arguments: str) -> str:
    out = StringIO()
    call_command("create_clinic", *arguments, stdout=out)
    return out.getvalue()


def test_a_clinic_with_a_new_admin_who_can_sign_in() -> None:
    output = create(
        "--name", "North", "--slug", "north", "--time-zone", "Europe/Oslo", "--admin", "A@Example.org"
    )
    password = output.split("signs in with ")[1].split(" ")[0]
    response = Client().post(reverse("sign-in"), {"username": "a@example.org", "password": password})
    assert response.status_code == 302
    assert Clinic.objects.get(slug="north").time_zone == "Europe/Oslo"
    assert set(Membership.objects.values_list("role", flat=True)) == {"admin", "reader"}
    labels = AuditEvent.objects.filter(clinic__slug="north").values_list("actor_label", flat=True)
    assert set(labels) == {"command line"}


@pytest.mark.parametrize(
    ("arguments", "decided", "blind"),
    [([], False, False), (["--blind-reading", "no"], True, False), (["--blind-reading", "yes"], True, True)],
)
def test_blind_reading_is_decided_now_or_by_an_admin(
    arguments: list[str], decided: bool, blind: bool
) -> None:
    create("--name", "North", "--slug", "north", *arguments)
    clinic = Clinic.objects.get()
    assert (clinic.blind_first_decided, clinic.blind_first) == (decided, blind)


def test_a_known_person_keeps_their_password() -> None:
    user = make_user(email="known@example.org")
    output = create("--name", "North", "--slug", "north", "--admin", "known@example.org")
    assert "signs in with" not in output
    assert User.objects.get(pk=user.pk).check_password(PASSWORD)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "N", "--slug", "taken"], "already exists"),
        (["--name", "N", "--slug", "not a slug"], "valid"),
        (["--name", "N", "--slug", "n", "--time-zone", "Mars/Olympus"], "not a known time zone"),
        (["--name", "N", "--slug", "n", "--admin", "nobody"], "valid email"),
    ],
)
def test_wrong_words_are_a_sentence_and_make_nothing(arguments: list[str], words: str) -> None:
    make_clinic(slug="taken")
    with pytest.raises(CommandError, match=words):
        create(*arguments)
    assert Clinic.objects.count() == 1
    assert not User.objects.exists()


def test_a_superuser_becomes_no_admin_of_a_clinic() -> None:
    boss = make_superuser()
    with pytest.raises(CommandError, match="no role in a clinic"):
        create("--name", "North", "--slug", "north", "--admin", boss.email.upper())
    assert not Clinic.objects.exists()
    assert not Membership.objects.filter(user=boss).exists()
