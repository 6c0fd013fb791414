"""Passkeys: made after a proof, used at the door and to confirm, removed; and every wrong answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.account.authenticator import PRESENT, VERIFIED, Authenticator
from tests.account.factors import add_factor, give_code, give_password, is_in, open_changes
from tests.account.test_confirm import age, asks
from tests.factories import PASSWORD
from tests.house import House, browser
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics import passkeys
from xrayportal.clinics.models import Passkey, SecondFactor, User
from xrayportal.clinics.passkeys import CHALLENGE_LASTS
from xrayportal.clinics.second_factor import RECOVERY_CODES, app_since, recovery_codes_left

pytestmark = pytest.mark.django_db


def options_for(client: Client, name: str) -> dict[str, Any]:
    answer = client.post(reverse(name), headers={"accept": "application/json"})
    assert answer.status_code == 200, answer.content
    options: dict[str, Any] = answer.json()
    return options


def add(client: Client, key: Authenticator, name: str = "Key ring") -> HttpResponse:
    """Make a passkey in a browser whose changes are open."""
    answer = key.make(options_for(client, "passkey-options"))
    return client.post(reverse("passkey-add"), {"name": name, "passkey": answer})  # type: ignore[return-value]


def give_passkey(client: Client, key: Authenticator, **changed: Any) -> HttpResponse:
    answer = key.use(options_for(client, "passkey-challenge"), **changed)
    return client.post(reverse("sign-in-code"), {"passkey": answer})  # type: ignore[return-value]


@pytest.fixture
def key(house: House) -> Authenticator:
    """The reader's only factor."""
    client, key = browser(house.reader), Authenticator()
    assert open_changes(client).status_code == 302
    assert add(client, key).status_code == 200
    return key


def changes() -> list[str]:
    events = AuditEvent.objects.filter(action=Action.SECOND_FACTOR_CHANGED).order_by("number")
    return [event.detail["change"] for event in events]


def test_the_first_passkey_is_a_second_factor(house: House) -> None:
    client, elsewhere, key = browser(house.reader), browser(house.reader), Authenticator()
    refused = client.post(reverse("passkey-options"), headers={"accept": "application/json"})
    assert refused.status_code == 403
    assert open_changes(client, "guess").status_code == 422
    assert open_changes(client).status_code == 302
    page = add(client, key).content.decode()
    assert len(re.findall(r"<li>((?:[0-9a-z]{4}-){3}[0-9a-z]{4})</li>", page)) == RECOVERY_CODES
    assert is_in(client, house)
    assert not is_in(elsewhere, house)
    assert changes() == ["passkey added"]
    assert "Key ring" in client.get(reverse("second-factor")).content.decode()
    client = give_password(house.reader)
    assert not is_in(client, house)
    assert give_passkey(client, key).status_code == 302
    assert is_in(client, house)
    assert Passkey.objects.get().last_used_at is not None


def test_a_passkey_confirms_who_is_there(house: House) -> None:
    client, key = browser(house.admin), Authenticator()
    open_changes(client)
    add(client, key)
    age(client)
    people = reverse("people", args=[house.clinic.slug])
    question = client.get(people).headers["Location"]
    assert "Use a passkey" in client.get(question).content.decode()
    wrong = Authenticator().use(options_for(client, "passkey-challenge"))
    assert client.post(question, {"passkey": wrong}).status_code == 200
    assert asks(client.get(people))
    answer = key.use(options_for(client, "passkey-challenge"))
    assert client.post(question, {"passkey": answer}).headers["Location"] == people
    assert client.get(people).status_code == 200


def test_a_passkey_is_what_a_clinic_requires(house: House) -> None:
    house.clinic.requires_second_factor = True
    house.clinic.save()
    client, key = browser(house.reader), Authenticator()
    assert not is_in(client, house)
    open_changes(client)
    add(client, key)
    assert is_in(client, house)
    for name, values in {"passkey-remove": [Passkey.objects.get().pk], "second-factor-remove": []}.items():
        assert client.post(reverse(name, args=values)).status_code == 302
    assert Passkey.objects.count() == 1


def other_challenge(key: Authenticator, options: dict[str, Any]) -> dict[str, str]:
    return {"passkey": key.use({"publicKey": {"challenge": "AAAAAAAAAAAAAAAAAAAAAA"}})}


def set_to(**values: Any) -> Callable[[Authenticator, dict[str, Any]], dict[str, str]]:
    def lie(key: Authenticator, options: dict[str, Any]) -> dict[str, str]:
        for name, value in values.items():
            setattr(key, name, value)
        return {"passkey": key.use(options)}

    return lie


LIES = {
    "another challenge": other_challenge,
    "another page": set_to(origin="https://evil.example"),
    "the same name over HTTPS, which this is not": set_to(origin="https://testserver"),
    "a page of another port": set_to(origin="http://testserver:8000"),
    "another portal's key": set_to(domain="evil.example"),
    "nobody touched it": set_to(flags=VERIFIED),
    "no finger and no PIN": set_to(flags=PRESENT),
    "another key": lambda key, options: {"passkey": Authenticator().use(options)},
    "another signature": lambda key, options: {"passkey": key.use(options, signature=b"\x30\x00")},
    "cut short": lambda key, options: {"passkey": key.use(options, authenticatorData=bytes(20))},
    "an answer that makes a key": lambda key, options: {"passkey": key.make(options)},
    "a list": lambda key, options: {"passkey": "[1]"},
    "a number": lambda key, options: {"passkey": "1"},
    "no JSON": lambda key, options: {"passkey": "{"},
    "deep JSON": lambda key, options: {"passkey": "[" * 9_000},
    "no text for bytes": lambda key, options: {
        "passkey": json.dumps({**json.loads(key.use(options)), "rawId": 7})
    },
    "nothing": lambda key, options: {"passkey": ""},
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_not_right_opens_nothing(house: House, key: Authenticator, lie: str) -> None:
    client = give_password(house.reader)
    form = LIES[lie](key, options_for(client, "passkey-challenge"))
    assert client.post(reverse("sign-in-code"), form).status_code == 200
    assert not is_in(client, house)
    failed = AuditEvent.objects.filter(action=Action.SIGN_IN_FAILED, detail__step="code").count()
    assert failed == (0 if lie == "nothing" else 1)


def test_a_challenge_is_answered_once_and_soon(
    house: House, key: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = give_password(house.reader)
    answer = key.use(options_for(client, "passkey-challenge"))
    assert client.post(reverse("sign-in-code"), {"code": "", "passkey": answer}).status_code == 302
    again = give_password(house.reader)
    assert again.post(reverse("sign-in-code"), {"passkey": answer}).status_code == 200
    options = options_for(again, "passkey-challenge")
    wrong = Authenticator().use(options)
    assert again.post(reverse("sign-in-code"), {"passkey": wrong}).status_code == 200
    assert again.post(reverse("sign-in-code"), {"passkey": key.use(options)}).status_code == 200
    answer = key.use(options_for(again, "passkey-challenge"))
    late = timezone.now() + timedelta(seconds=CHALLENGE_LASTS + 1)
    with monkeypatch.context() as patch:
        patch.setattr(passkeys.timezone, "now", lambda: late)
        assert again.post(reverse("sign-in-code"), {"passkey": answer}).status_code == 200
    assert not is_in(again, house)


def test_a_challenge_to_make_a_key_is_none_to_use_it(house: House, key: Authenticator) -> None:
    client = give_password(house.reader)
    give_passkey(client, key)
    proof = {"passkey": key.use(options_for(client, "passkey-challenge"))}
    assert client.post(reverse("second-factor-open"), proof).status_code == 302
    made = options_for(client, "passkey-options")
    age(client)
    question = client.get(reverse("confirm"))
    assert question.status_code == 200
    assert client.post(reverse("confirm"), {"passkey": key.use(made)}).status_code == 200


def test_a_copied_key_is_noticed(house: House, key: Authenticator) -> None:
    key.count = 7
    assert give_passkey(give_password(house.reader), key).status_code == 302
    for count, status in ((7, 200), (3, 200), (0, 200), (8, 302)):
        key.count = count
        assert give_passkey(give_password(house.reader), key).status_code == status, count
    assert Passkey.objects.get().sign_count == 8


def test_wrong_passkeys_close_the_door_like_wrong_codes(house: House, key: Authenticator) -> None:
    client = give_password(house.reader)
    for _ in range(5):
        give_passkey(client, key, signature=b"")
    assert "Wait 15 minutes" in give_passkey(client, key).content.decode()
    assert not is_in(client, house)


def test_each_factor_goes_for_itself(house: House) -> None:
    app, codes = add_factor(house.reader)
    client, key = give_password(house.reader), Authenticator()
    give_code(client, codes[0])
    open_changes(client, codes[1])
    assert add(client, key).status_code == 302  # no new recovery codes
    assert recovery_codes_left(house.reader) == RECOVERY_CODES - 2
    elsewhere = give_password(house.reader)
    assert give_passkey(elsewhere, key).status_code == 302
    assert client.post(reverse("second-factor-app-remove")).status_code == 302
    assert not is_in(elsewhere, house)
    assert app_since(house.reader) is None
    assert give_code(give_password(house.reader), app.now()).status_code == 200
    assert give_code(give_password(house.reader), codes[2]).status_code == 302
    strangers = Passkey.objects.get()
    other = browser(house.admin)
    open_changes(other)
    assert other.post(reverse("passkey-remove", args=[strangers.pk])).status_code == 404
    assert client.post(reverse("passkey-remove", args=[strangers.pk])).status_code == 302
    assert not SecondFactor.objects.exists()
    assert User.objects.get(pk=house.reader.pk).second_factor_since is None
    assert changes() == ["added", "passkey added", "app removed", "removed"], "with the last one all is gone"


def test_a_key_belongs_to_one_person(house: House, key: Authenticator) -> None:
    client = browser(house.admin)
    open_changes(client)
    assert add(client, key).status_code == 422
    assert "not accepted" in add(client, key).content.decode()
    assert Passkey.objects.get().user == house.reader
    assert User.objects.get(pk=house.admin.pk).second_factor_since is None


def test_lies_make_no_key(house: House) -> None:
    client = browser(house.reader)
    open_changes(client)
    for lie in ({"origin": "https://evil.example"}, {"domain": "evil.example"}, {"flags": PRESENT}):
        key = Authenticator()
        for name, value in lie.items():
            setattr(key, name, value)
        assert add(client, key).status_code == 422
    key = Authenticator()
    for answer in ("", "{", key.make({"publicKey": {"challenge": "AAAAAAAAAAAAAAAAAAAAAA"}})):
        options_for(client, "passkey-options")
        form = {"name": "x", "passkey": answer}
        assert client.post(reverse("passkey-add"), form).status_code == 422
    assert not Passkey.objects.exists()


def test_a_key_works_at_its_own_name_only(house: House, key: Authenticator, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["testserver", "other.example", "127.0.0.1"]
    for host in ("other.example", "127.0.0.1"):
        client = Client(SERVER_NAME=host)
        page = client.post(
            reverse("sign-in"), {"username": house.reader.email, "password": PASSWORD}, follow=True
        )
        assert "Your passkeys work at testserver." in page.content.decode()
        assert "Use a passkey" not in page.content.decode()
        assert client.post(reverse("passkey-challenge")).status_code == 400
    admin = Client(SERVER_NAME="127.0.0.1")
    admin.force_login(house.admin)
    open_changes(admin)
    assert "not a number" in admin.get(reverse("second-factor")).content.decode()
    assert admin.post(reverse("passkey-options")).status_code == 400
    settings.PUBLIC_URL = "https://testserver"
    key.origin = "https://testserver"
    client = give_password(house.reader)
    assert give_passkey(client, key).status_code == 302


def test_nobody_gets_a_challenge_without_a_password(house: House, key: Authenticator) -> None:
    assert Client().post(reverse("passkey-challenge")).status_code == 401
    assert Client().get(reverse("passkey-challenge")).status_code == 405
