"""What takes data away or changes who reaches it asks again, after a while, who sits there."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from tests.account.factors import add_factor, give_code, give_password, wrong
from tests.factories import PASSWORD, make_user
from tests.house import House, browser
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics import sign_in
from xrayportal.clinics.models import Role, User

pytestmark = pytest.mark.django_db


def open_browser(user: User, seconds: int = 15 * 60) -> Client:
    """A browser in which the person signed in so long ago."""
    client = browser(user)
    age(client, seconds)
    return client


def age(client: Client, seconds: int = 15 * 60) -> None:
    session = client.session
    session["confirmed_at"] -= seconds
    session.save()


def asks(response: HttpResponse) -> bool:
    return response.status_code == 302 and response.headers["Location"].startswith(reverse("confirm"))


def test_ordinary_work_goes_on(house: House) -> None:
    client = open_browser(house.reader)
    for name in ("worklist", "upload", "submissions", "disagreements"):
        assert client.get(reverse(name, args=[house.clinic.slug])).status_code == 200


def test_the_password_opens_for_a_while(house: House) -> None:
    client = open_browser(house.admin)
    people = reverse("people", args=[house.clinic.slug])
    question = client.get(people).headers["Location"]
    assert client.get(question).status_code == 200
    assert client.post(question, {"password": "a guess"}).status_code == 200
    assert asks(client.get(people))
    answer = client.post(question, {"password": PASSWORD})
    assert answer.headers["Location"] == people
    assert client.get(people).status_code == 200
    age(client)
    assert asks(client.get(people))


def test_a_form_leads_back_to_its_page(house: House) -> None:
    client = open_browser(house.admin)
    history = reverse("history", args=[house.clinic.slug])
    export = reverse("history-export", args=[house.clinic.slug])
    question = client.post(export, headers={"referer": f"http://testserver{history}?verdict=normal"})
    page = client.get(question.headers["Location"]).content.decode()
    assert "Nothing was done yet." in page
    answer = client.post(question.headers["Location"], {"password": PASSWORD})
    assert answer.headers["Location"] == f"{history}?verdict=normal"
    assert client.post(export).status_code == 200


@pytest.mark.parametrize(
    "way_back",
    ["https://evil.example/", "//evil.example/", "https://h//evil.example", "javascript:x", "[", ""],
)
def test_no_answer_leads_off_the_portal(house: House, way_back: str) -> None:
    client = open_browser(house.admin)
    export = reverse("history-export", args=[house.clinic.slug])
    question = client.post(export, headers={"referer": way_back}).headers["Location"]
    assert client.post(question, {"password": PASSWORD}).headers["Location"] == "/"
    given = client.post(f"{reverse('confirm')}?next={way_back}", {"password": PASSWORD})
    assert given.headers["Location"] in {"/", "["}


def test_who_has_a_second_factor_gives_a_code(house: House) -> None:
    app, codes = add_factor(house.admin)
    client = give_password(house.admin)
    give_code(client, codes[0])
    age(client)
    people = reverse("people", args=[house.clinic.slug])
    question = client.get(people).headers["Location"]
    for answer in ({"password": PASSWORD}, {"code": wrong(app)}, {"code": codes[0]}):
        assert client.post(question, answer).status_code == 200
    assert asks(client.get(people))
    assert client.post(question, {"code": app.now()}).status_code == 302
    assert client.get(people).status_code == 200


def test_guesses_are_counted_as_at_the_sign_in(house: House) -> None:
    client = open_browser(house.admin)
    for _ in range(sign_in.ACCOUNT_LIMIT):
        client.post(reverse("confirm"), {"password": "a guess"})
    page = client.post(reverse("confirm"), {"password": PASSWORD}).content.decode()
    assert "Wait 15 minutes" in page
    assert AuditEvent.objects.filter(action=Action.SIGN_IN_FAILED).count() == sign_in.ACCOUNT_LIMIT


def test_a_program_gets_a_sentence(house: House) -> None:
    people = reverse("people", args=[house.clinic.slug])
    answer = open_browser(house.admin).get(people, headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["sentence"]) == (403, "Confirm first that it is you.")


def test_the_time_is_a_setting(house: House, settings: Any) -> None:
    admin = make_user(house.clinic, Role.ADMIN)
    client = open_browser(admin, seconds=60)
    people = reverse("people", args=[house.clinic.slug])
    assert client.get(people).status_code == 200
    settings.CONFIRM_SECONDS = 60
    assert asks(client.get(people))
