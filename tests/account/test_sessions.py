"""A person sees where they are signed in, and ends what they do not want; nobody ends another's."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import PASSWORD
from tests.house import House, browser
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import Session, User
from xrayportal.clinics.sessions import hashed
from xrayportal.words.browsers import browser_words

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.0 Mobile/15E148 Safari/604.1"
)


def sign_in(user: User, agent: str, address: str) -> Client:
    client = Client(headers={"user-agent": agent}, REMOTE_ADDR=address)
    form = {"username": user.email, "password": PASSWORD}
    assert client.post(reverse("sign-in"), form).status_code == 302
    return client


def is_in(client: Client, house: House) -> bool:
    return client.get(reverse("worklist", args=[house.clinic.slug])).status_code == 200


def key_of(client: Client) -> str:
    return hashed(client.session.session_key)


def test_the_list_says_where_and_with_what(house: House) -> None:
    here = sign_in(house.reader, FIREFOX, "192.0.2.7")
    sign_in(house.reader, SAFARI, "203.0.113.8")
    sign_in(house.admin, SAFARI, "203.0.113.99")
    page = here.get(reverse("sessions")).content.decode()
    for words in ("Firefox, Windows", "192.0.2.7", "Safari, iPhone", "203.0.113.8"):
        assert words in page
    assert "203.0.113.99" not in page
    assert page.count("This one") == 1
    assert here.session.session_key not in page


def test_one_session_ends(house: House) -> None:
    here, there, third = (sign_in(house.reader, FIREFOX, "192.0.2.7") for _ in range(3))
    assert here.post(reverse("sessions-end"), {"session": key_of(there)}).status_code == 302
    assert [is_in(client, house) for client in (here, there, third)] == [True, False, True]
    event = AuditEvent.objects.get(action=Action.SIGNED_OUT)
    assert (event.detail, event.actor_id_text) == ({"other_sessions": 1}, str(house.reader.pk))


def test_all_others_end(house: House) -> None:
    here, there, third = (sign_in(house.reader, FIREFOX, "192.0.2.7") for _ in range(3))
    here.post(reverse("sessions-end"))
    assert [is_in(client, house) for client in (here, there, third)] == [True, False, False]
    assert AuditEvent.objects.get(action=Action.SIGNED_OUT).detail == {"other_sessions": 2}


def test_nobody_ends_the_session_of_another(house: House) -> None:
    theirs = browser(house.admin)
    mine = browser(house.reader)
    mine.post(reverse("sessions-end"), {"session": key_of(theirs)})
    assert mine.post(reverse("sessions-end"), {"session": "\0"}).status_code == 302
    mine.post(reverse("sessions-end"))
    assert is_in(theirs, house)
    assert not AuditEvent.objects.filter(action=Action.SIGNED_OUT).exists()


def test_sessions_of_a_former_password_are_not_listed(house: House) -> None:
    sign_in(house.reader, FIREFOX, "192.0.2.7")
    house.reader.set_password("another horse battery")
    house.reader.save()
    page = browser(house.reader).get(reverse("sessions")).content.decode()
    assert "192.0.2.7" not in page


def test_another_password_leaves_no_other_session(house: House) -> None:
    here = browser(house.reader)
    browser(house.reader)
    new = "quite another horse"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post(reverse("password"), form).status_code == 302
    assert is_in(here, house)
    assert Session.objects.filter(user=house.reader).count() == 1


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (FIREFOX, "Firefox, Windows"),
        (SAFARI, "Safari, iPhone"),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36",
            "Chrome, Linux",
        ),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge, Windows"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36", "Chrome, Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15", "Safari, macOS"),
        ("curl/8", "Unknown browser"),
        ("", "Unknown browser"),
    ],
)
def test_browsers_are_called_what_people_call_them(header: str, words: str) -> None:
    assert browser_words(header) == words
