"""Codes at the door: asked for, used up, counted."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.account.factors import add_factor, code_at, give_code, give_password, is_in, wrong
from tests.factories import PASSWORD
from tests.house import House
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics import second_factor, sign_in
from xrayportal.clinics.models import SecondFactor

pytestmark = pytest.mark.django_db


def test_the_door_asks_for_a_code(house: House) -> None:
    app, _ = add_factor(house.reader)
    target = reverse("worklist", args=[house.clinic.slug])
    client = give_password(house.reader, path=f"{reverse('sign-in')}?next={target}")
    assert not is_in(client, house)
    events = AuditEvent.objects.filter(action=Action.SIGNED_IN)
    assert not events.exists()
    assert give_code(client, wrong(app)).status_code == 200
    assert not is_in(client, house)
    before = client.session.session_key
    response = client.post(f"{reverse('sign-in-code')}?next={target}", {"code": app.now()})
    assert response.headers["Location"] == target
    assert is_in(client, house)
    assert client.session.session_key != before
    assert events.count() == 1


def test_a_code_leads_nowhere_else(house: House) -> None:
    app, _ = add_factor(house.reader)
    client = give_password(house.reader)
    response = client.post(f"{reverse('sign-in-code')}?next=https://evil.example/", {"code": app.now()})
    assert response.headers["Location"] == "/"


@pytest.mark.parametrize("text", ["home", "[", "admin:index"])
def test_where_it_leads_is_an_address_and_no_name(house: House, text: str) -> None:
    form = {"username": house.admin.email, "password": PASSWORD}
    location = Client().post(f"{reverse('sign-in')}?next={text}", form).headers["Location"]
    assert location in {text, "/"}
    app, _ = add_factor(house.reader)
    client = give_password(house.reader, path=f"{reverse('sign-in')}?next={text}")
    location = client.post(f"{reverse('sign-in-code')}?next={text}", {"code": app.now()}).headers["Location"]
    assert location in {text, "/"}


def test_a_code_works_once(house: House) -> None:
    app, _ = add_factor(house.reader)
    code = app.now()
    assert give_code(give_password(house.reader), code).status_code == 302
    assert give_code(give_password(house.reader), code).status_code == 200
    # And what was shown before it is too old now.
    assert not second_factor.use_code(house.reader, code_at(app, -1))


@pytest.mark.parametrize("steps", [-2, 2, 20])
def test_codes_of_other_times_are_refused(house: House, steps: int) -> None:
    app, _ = add_factor(house.reader)
    SecondFactor.objects.update(last_step=0)
    assert not second_factor.use_code(house.reader, code_at(app, steps))


def test_codes_of_others_are_refused(house: House) -> None:
    add_factor(house.reader)
    other, codes = add_factor(house.admin)
    client = give_password(house.reader)
    for code in (other.now(), codes[0], "", "x" * 40, "\u0663" * 6):
        assert give_code(client, code).status_code == 200
        assert not is_in(client, house)


def test_a_recovery_code_works_once(house: House) -> None:
    _, codes = add_factor(house.reader)
    client = give_password(house.reader)
    assert give_code(client, f" {codes[4].upper().replace('-', ' ')} ").status_code == 302
    assert is_in(client, house)
    assert give_code(give_password(house.reader), codes[4]).status_code == 200
    assert second_factor.recovery_codes_left(house.reader) == second_factor.RECOVERY_CODES - 1


def test_the_last_recovery_codes_are_announced(house: House) -> None:
    _, codes = add_factor(house.reader)
    for code in codes[3:]:
        assert second_factor.use_code(house.reader, code)
    client = give_password(house.reader)
    page = client.post(reverse("sign-in-code"), {"code": codes[0]}, follow=True).content.decode()
    assert "2 recovery codes left" in page


def test_wrong_codes_close_the_door(house: House) -> None:
    app, _ = add_factor(house.reader)
    client = give_password(house.reader)
    for _ in range(sign_in.ACCOUNT_LIMIT):
        give_code(client, wrong(app))
    assert "Wait 15 minutes" in give_code(client, app.now()).content.decode()
    assert not is_in(client, house)
    response = Client().post(reverse("sign-in"), {"username": house.reader.email, "password": PASSWORD})
    assert "Wait 15 minutes" in response.content.decode()


def test_wrong_codes_are_counted_over_all_addresses(house: House) -> None:
    app, _ = add_factor(house.reader)
    client = give_password(house.reader)
    for number in range(sign_in.CODE_LIMIT):
        give_code(client, wrong(app), REMOTE_ADDR=f"203.0.113.{number}")
    assert "Wait 15 minutes" in give_code(client, app.now(), REMOTE_ADDR="198.51.100.1").content.decode()
    assert not is_in(client, house)


def test_the_password_alone_forgives_no_wrong_code(house: House) -> None:
    app, _ = add_factor(house.reader)
    for _ in range(sign_in.ACCOUNT_LIMIT):
        give_code(give_password(house.reader), wrong(app))
    response = Client().post(reverse("sign-in"), {"username": house.reader.email, "password": PASSWORD})
    assert "Wait 15 minutes" in response.content.decode()


def test_what_was_begun_ends_with_time_password_and_account(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = add_factor(house.reader)
    clients = [give_password(house.reader) for _ in range(3)]
    with monkeypatch.context() as patch:
        late = sign_in.timezone.now() + sign_in.PENDING_LASTS
        patch.setattr(sign_in.timezone, "now", lambda: late)
        assert give_code(clients[0], app.now()).headers["Location"] == reverse("sign-in")
    house.reader.set_password("another horse battery")
    house.reader.save()
    assert give_code(clients[1], app.now()).headers["Location"] == reverse("sign-in")
    house.reader.set_password(PASSWORD)
    house.reader.is_active = False
    house.reader.save()
    assert give_code(clients[2], app.now()).headers["Location"] == reverse("sign-in")
    assert give_code(Client(), app.now()).headers["Location"] == reverse("sign-in")


def test_a_code_signs_in_who_gave_the_password_and_nobody_else(house: House) -> None:
    reader, _ = add_factor(house.reader)
    admin, _ = add_factor(house.admin)
    client = give_password(house.admin, give_password(house.reader))
    assert give_code(client, reader.now()).status_code == 200
    assert give_code(client, admin.now()).status_code == 302
    assert client.get(reverse("clinic-settings", args=[house.clinic.slug])).status_code == 200
