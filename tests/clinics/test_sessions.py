"""One query loads the session, its user and the memberships, and no check of Django's is lost by it."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_clinic
from xrayportal.clinics.models import Clinic, Membership, Role, Session, User
from xrayportal.clinics.sessions import SessionStore

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic() -> Clinic:
    return make_clinic()


@pytest.fixture
def reader(clinic: Clinic) -> User:
    reader = User.objects.create_user("rosa@example.org", "correct horse battery")
    for role in (Role.READER, Role.UPLOADER):
        Membership.objects.create(clinic=clinic, user=reader, role=role)
    Membership.objects.create(clinic=make_clinic(slug="other"), user=reader, role=Role.ADMIN)
    return reader


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def is_in(client: Client, clinic: Clinic) -> bool:
    return client.get(reverse("worklist", args=[clinic.slug])).status_code == 200


def test_one_query_says_who_and_where(reader: User) -> None:
    key = signed_in(reader).session.session_key
    with CaptureQueriesContext(connection) as captured:
        store = SessionStore(key)
        assert int(store[SESSION_KEY]) == reader.pk
        assert store.person == reader
        assert {(row.clinic.slug, row.role) for row in reader.all_memberships} == {
            (row.clinic.slug, row.role) for row in store.person.all_memberships
        }
    # The second query is the test's: no session has loaded the memberships of the fixture's reader.
    assert len(captured) == 2


def test_sessions_of_others_are_not_taken_for_mine(reader: User, clinic: Clinic) -> None:
    other = User.objects.create_user("otto@example.org", "correct horse battery")
    Membership.objects.create(clinic=clinic, user=other, role=Role.READER)
    first, second, third = signed_in(reader), signed_in(other), signed_in(reader)
    for client, user in ((first, reader), (second, other), (third, reader)):
        person = SessionStore(client.session.session_key)
        assert (int(person[SESSION_KEY]), person.person) == (user.pk, user)


def test_a_session_that_ran_out_is_over(reader: User, clinic: Clinic) -> None:
    client = signed_in(reader)
    assert is_in(client, clinic)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert not is_in(client, clinic)


def test_whoever_is_deactivated_is_out_at_once(reader: User, clinic: Clinic) -> None:
    client = signed_in(reader)
    User.objects.update(is_active=False)
    assert not is_in(client, clinic)


@pytest.mark.parametrize("key", ["aaaaaaaaaaaa\0", "' or 1=1 --", "\xb2" * 9, "a", "a" * 4000])
def test_a_cookie_that_is_no_key_is_nobodys(key: str, clinic: Clinic) -> None:
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = key
    assert not is_in(client, clinic)
    assert client.get(reverse("sign-in")).status_code == 200


def test_an_account_that_is_opened_again_brings_no_session_back(reader: User, clinic: Clinic) -> None:
    client = signed_in(reader)
    root = signed_in(User.objects.create_superuser("root@example.org", "correct horse battery"))
    account = reverse("admin:clinics_user_change", args=[reader.pk])
    for closed_or_open in ({}, {"is_active": "on"}):
        assert root.post(account, {"email": reader.email, **closed_or_open}).status_code == 302
        assert not is_in(client, clinic)
    assert is_in(signed_in(reader), clinic)


def test_another_password_ends_the_session(reader: User, clinic: Clinic) -> None:
    client = signed_in(reader)
    reader.set_password("another horse battery")
    reader.save()
    assert not is_in(client, clinic)
    assert not Session.objects.exists()


def test_a_changed_row_is_no_way_in(reader: User, clinic: Clinic) -> None:
    stranger = User.objects.create_user("eve@example.org", "correct horse battery")
    client = signed_in(stranger)
    Session.objects.update(user=reader)
    # The row's person and the signed content disagree: the content, which has the hash, decides.
    assert not is_in(client, clinic)


def test_people_without_a_clinic_sign_in_too() -> None:
    root = User.objects.create_superuser("root@example.org", "correct horse battery")
    assert signed_in(root).get(reverse("admin:index")).status_code == 200
    assert Session.objects.get().user == root


def test_a_place_taken_away_is_gone_with_the_next_request(reader: User, clinic: Clinic) -> None:
    client = signed_in(reader)
    assert is_in(client, clinic)
    Membership.objects.filter(clinic=clinic).delete()
    assert not is_in(client, clinic)


def test_signing_out_leaves_no_row(reader: User) -> None:
    client = signed_in(reader)
    client.logout()
    assert not Session.objects.exists()


def test_no_row_holds_what_a_cookie_holds(reader: User, clinic: Clinic) -> None:
    client = signed_in(reader)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    stored = Session.objects.get().session_key
    assert stored == hashlib.sha256(key.encode()).hexdigest()
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = stored
    assert not is_in(thief, clinic)
    assert is_in(client, clinic)


def test_the_database_refuses_a_key_that_is_not_hashed() -> None:
    later = timezone.now() + timedelta(hours=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        Session.objects.create(session_key="a" * 32, session_data="", expire_date=later)


def test_a_sign_in_changes_the_key_and_leaves_one_row(reader: User, clinic: Clinic) -> None:
    client = Client()
    client.get(reverse("sign-in"))
    client.session["anything"] = 1
    before = client.session.session_key
    client.force_login(reader)
    assert client.session.session_key != before
    assert Session.objects.filter(user=reader).count() == 1
