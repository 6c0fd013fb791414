"""Signing in and out: one sentence for every failure, a limit, the audit, and the answer to a fragment."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from tests.factories import PASSWORD, make_superuser
from tests.house import House, browser
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics import sign_in
from xrayportal.security import client_address

WRONG = "not the password"
pytestmark = pytest.mark.django_db


def attempt(email: str, password: str = WRONG, client: Client | None = None, **extra: str) -> HttpResponse:
    return (client or Client()).post(
        reverse("sign-in"),
        {"username": email, "password": password},
        **extra,  # type: ignore[arg-type]
    )


def actions() -> list[str]:
    return list(AuditEvent.objects.filter(clinic=None).order_by("number").values_list("action", flat=True))


def test_sign_in_and_out_are_audited(house: House) -> None:
    client = Client()
    response = attempt(house.reader.email.upper(), PASSWORD, client)
    assert response.status_code == 302
    assert client.get("/").status_code == 302
    assert client.get(reverse("sign-out")).status_code == 405
    assert client.post(reverse("sign-out")).status_code == 302
    assert client.get(reverse("worklist", args=[house.clinic.slug])).status_code == 302
    assert actions() == [Action.SIGNED_IN, Action.SIGNED_OUT]
    assert set(AuditEvent.objects.values_list("actor_label", flat=True)) == {house.reader.email}


def test_failure_says_the_same_whoever_it_is(house: House) -> None:
    house.colleague.is_active = False
    house.colleague.save()
    pages = [
        attempt(email, password).content.decode().replace(email, "")
        for email, password in [
            (house.reader.email, "wrong"),
            ("nobody@example.org", "wrong"),
            (house.colleague.email, PASSWORD),
        ]
    ]
    assert "Wrong e-mail address or password." in pages[0]
    without_tokens = {
        "".join(line for line in page.splitlines() if "csrf" not in line.lower()) for page in pages
    }
    assert len(without_tokens) == 1


def test_what_was_typed_is_not_kept(house: House) -> None:
    attempt("my secret password by mistake")
    (event,) = AuditEvent.objects.filter(action=Action.SIGN_IN_FAILED)
    assert "secret" not in f"{event.detail}{event.actor_label}{event.target_id}"


def test_five_failures_close_the_door_for_a_while(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(sign_in.ACCOUNT_LIMIT):
        attempt(house.reader.email)
    response = attempt(house.reader.email, PASSWORD)
    assert response.status_code == 200
    assert "Wait 15 minutes" in response.content.decode()
    assert len(actions()) == sign_in.ACCOUNT_LIMIT  # a throttled attempt adds nothing to the chain
    assert attempt(house.admin.email, PASSWORD).status_code == 302
    assert attempt(house.reader.email, PASSWORD, REMOTE_ADDR="203.0.113.9").status_code == 302
    later = timezone.now() + sign_in.WINDOW + timedelta(seconds=1)
    monkeypatch.setattr(sign_in.timezone, "now", lambda: later)
    assert not sign_in.is_throttled(house.reader.email, "127.0.0.1")


def test_a_success_forgives_earlier_failures(house: House) -> None:
    for _ in range(sign_in.ACCOUNT_LIMIT - 1):
        attempt(house.reader.email)
    assert attempt(house.reader.email, PASSWORD).status_code == 302
    for _ in range(sign_in.ACCOUNT_LIMIT - 1):
        attempt(house.reader.email)
    assert attempt(house.reader.email, PASSWORD).status_code == 302


def test_many_accounts_from_one_address_are_limited(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "ADDRESS_LIMIT", 3)
    for number in range(3):
        attempt(f"guess-{number}@example.org")
    assert "Wait 15 minutes" in attempt(house.reader.email, PASSWORD).content.decode()


def test_an_unknown_next_is_not_followed(house: House) -> None:
    response = Client().post(
        reverse("sign-in") + "?next=https://evil.example/",
        {"username": house.reader.email, "password": PASSWORD},
    )
    assert response.headers["Location"] == "/"


def test_a_fragment_of_an_expired_session_is_sent_to_sign_in(house: House) -> None:
    response = Client().get(
        reverse("worklist", args=[house.clinic.slug]),
        headers={
            "hx-request": "true",
            "hx-current-url": f"http://testserver/c/{house.clinic.slug}/?state=x#top",
        },
    )
    assert response.status_code == 204
    assert not response.content
    assert (
        response.headers["HX-Redirect"]
        == f"{reverse('sign-in')}?next=%2Fc%2F{house.clinic.slug}%2F%3Fstate%3Dx"
    )


def test_a_script_of_an_expired_session_gets_a_sentence(house: House) -> None:
    response = Client().post(
        reverse("submissions", args=[house.clinic.slug]), headers={"accept": "application/json"}
    )
    assert response.status_code == 401
    assert response.json()["sentence"] == "Your session has ended. Sign in again."


def test_the_admin_has_no_door_of_its_own(house: House) -> None:
    response = Client().get("/admin/login/?next=/admin/")
    assert response.headers["Location"] == f"{reverse('sign-in')}?next=/admin/"
    assert browser(house.admin).get("/admin/", follow=True).status_code == 404
    assert browser(make_superuser()).get("/admin/").status_code == 200


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "198.51.100.7", "192.0.2.1"),
        (1, "198.51.100.7", "198.51.100.7"),
        (1, "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        (2, "6.6.6.6, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        (2, "198.51.100.7", "192.0.2.1"),
        (1, "unknown", None),
        (1, "::ffff:198.51.100.7", "198.51.100.7"),
        (1, "", "192.0.2.1"),
    ],
)
def test_client_address_believes_our_proxies_only(
    settings: object, proxies: int, forwarded: str, expected: str | None
) -> None:
    settings.TRUSTED_PROXIES = proxies  # type: ignore[attr-defined]
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", headers={"x-forwarded-for": forwarded})
    assert client_address(request) == expected


def test_a_unix_socket_has_no_address() -> None:
    assert client_address(RequestFactory().get("/", REMOTE_ADDR="")) is None


def test_every_answer_carries_the_policy(house: House) -> None:
    for client, address in [(Client(), reverse("sign-in")), (browser(make_superuser()), "/admin/")]:
        response = client.get(address)
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
        page = response.content.decode()
        assert "<script>" not in page
        assert " style=" not in page
        assert " onclick=" not in page
