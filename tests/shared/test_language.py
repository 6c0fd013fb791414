"""The language switch, before and after sign-in."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.house import House, browser

pytestmark = pytest.mark.django_db


def test_a_stranger_chooses_a_language_and_the_browser_keeps_it() -> None:
    client = Client(enforce_csrf_checks=True)
    page = client.get("/sign-in/")
    token = page.cookies["csrftoken"].value
    answer = client.post("/language/", {"language": "de", "next": "/sign-in/", "csrfmiddlewaretoken": token})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/sign-in/")
    page = client.get("/sign-in/", headers={"accept-language": "en"})
    assert '<html lang="de">' in page.content.decode()
    assert "Anmelden" in page.content.decode()


def test_the_switch_needs_its_token() -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post("/language/", {"language": "de"}).status_code == 403


def test_the_switch_leads_to_no_other_site(house: House) -> None:
    client = browser(house.reader)
    answer = client.post("/language/", {"language": "de", "next": "https://elsewhere.example/"})
    assert answer.headers["Location"] == "/"


def test_every_page_offers_each_language_by_its_own_name(house: House) -> None:
    page = browser(house.reader).get(f"/c/{house.clinic.slug}/").content.decode()
    assert 'lang="de">Deutsch</button>' in page
    assert 'lang="en" aria-current="true">English</button>' in page


def test_without_a_choice_the_browser_decides(house: House) -> None:
    page = browser(house.reader).get(
        f"/c/{house.clinic.slug}/", headers={"accept-language": "de-AT,de;q=0.9"}
    )
    assert '<html lang="de">' in page.content.decode()
