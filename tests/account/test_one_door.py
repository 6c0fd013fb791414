"""Nothing but the one door signs anybody in; and whom it lets no further without a second factor."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.account.factors import add_factor, code_at, give_code, give_password, is_in
from tests.addresses import addresses
from tests.factories import PASSWORD, make_superuser
from tests.house import House, browser
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import User

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("method", ["get", "post"])
def test_half_a_sign_in_is_none_at_any_address(house: House, method: str) -> None:
    """Who gave the password alone, and whoever some other code signs in, meet what a stranger meets."""
    user = house.superuser
    add_factor(user)
    closed = [address for address, needs_sign_in in addresses() if needs_sign_in]
    assert len(closed) > 120
    assert {"/admin/", "/second-factor/remove/", "/password/"} <= set(closed)
    half, forced = give_password(user), browser(user)  # Django's own ``login``, as its LoginView calls it
    for address in closed:
        for client in (half, forced):
            answer = getattr(client, method)(address)
            assert answer.status_code == 302, (address, answer.status_code)
            assert answer.headers["Location"].startswith((reverse("sign-in"), "/admin/login/")), address
    assert not AuditEvent.objects.filter(action=Action.SECOND_FACTOR_CHANGED)[1:].exists()


def test_public_addresses_take_half_a_sign_in_for_a_stranger(house: House) -> None:
    add_factor(house.reader)
    half = give_password(house.reader)
    public = [address for address, needs_sign_in in addresses() if not needs_sign_in]
    assert "/api/v1/submissions" in {address.rstrip("/") for address in public}
    for address in public:
        if address.startswith("/sign-in/"):
            continue
        assert half.get(address).status_code == Client().get(address).status_code, address
    assert not is_in(half, house)


def test_one_place_signs_people_in() -> None:
    """Every call of Django's ``login``, and every view of Django's that makes one, by the code's own text."""
    calls, classes = set(), set()
    for path in sorted((ROOT / "xrayportal").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = node.func
                if getattr(called, "attr", getattr(called, "id", "")) in {"login", "alogin", "force_login"}:
                    calls.add(name)
            if isinstance(node, ast.ClassDef):
                bases = {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases}
                if bases & {"LoginView", "PasswordResetConfirmView", "LoginForm"}:
                    methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
                    classes.add((node.name, "form_valid" in methods))
    assert calls == {"xrayportal/clinics/sign_in.py"}
    assert classes == {("SignInView", True)}


def test_the_admin_site_is_behind_the_same_door(house: House) -> None:
    root = make_superuser()
    app, _ = add_factor(root)
    client = Client()
    door = client.get("/admin/", follow=True).redirect_chain[-1][0]
    give_password(root, client, door)
    assert client.get("/admin/").status_code == 302
    assert client.post("/admin/login/", {"username": root.email, "password": PASSWORD}).status_code == 302
    assert client.get("/admin/").status_code == 302
    give_code(client, app.now())
    assert client.get("/admin/").status_code == 200


def test_a_clinic_can_require_it(house: House) -> None:
    client = browser(house.reader)
    assert is_in(client, house)
    boss = browser(house.admin)
    settings = reverse("clinic-settings", args=[house.clinic.slug])
    form = {"name": house.clinic.name, "time_zone": "UTC", "requires_second_factor": "on"}
    assert boss.post(settings, form).status_code == 302
    target = reverse("worklist", args=[house.clinic.slug])
    for one in (client, boss):
        assert one.get(target).headers["Location"] == reverse("second-factor")
        assert one.get(target, headers={"hx-request": "true"}).headers["HX-Redirect"] == reverse(
            "second-factor"
        )
        assert one.get(target, headers={"accept": "application/json"}).status_code == 403
        assert one.get(reverse("second-factor")).status_code == 200
    assert browser(house.stranger).get("/").status_code == 302
    app, _ = add_factor(house.reader)
    client = give_password(house.reader)
    give_code(client, app.now())
    assert is_in(client, house)
    client.post(reverse("second-factor-open"), {"code": code_at(app, 1)})
    for way in ("second-factor-remove", "second-factor-app-remove"):
        assert client.post(reverse(way)).status_code == 302
    assert User.objects.get(pk=house.reader.pk).second_factor_since is not None
    assert client.post(reverse("sign-out")).status_code == 302


def test_every_closed_address_waits_for_a_required_factor(house: House) -> None:
    house.clinic.requires_second_factor = True
    house.clinic.save()
    client = browser(house.admin)
    names = ("", "-open", "-begin", "-confirm", "-app-remove")
    allowed = {"/sign-out/", *(reverse(f"second-factor{end}") for end in names)}
    allowed |= {reverse("passkey-options"), reverse("passkey-add")}
    for address, needs_sign_in in addresses():
        if needs_sign_in and address not in allowed:
            answer = client.get(address)
            assert (answer.status_code, answer.headers["Location"]) == (302, reverse("second-factor")), (
                address
            )


def test_who_must_have_a_factor_may_give_an_apps_set_up_up(house: House) -> None:
    house.clinic.requires_second_factor = True
    house.clinic.save()
    client = browser(house.reader)
    client.post(reverse("second-factor-open"), {"password": PASSWORD})
    client.post(reverse("second-factor-begin"))
    assert "app_form" in client.get(reverse("second-factor")).context
    assert client.post(reverse("second-factor-app-remove")).status_code == 302
    assert "passkey_form" in client.get(reverse("second-factor")).context


def test_staff_can_be_required_too(house: House, settings: Any) -> None:
    client = browser(house.superuser)
    assert client.get("/admin/").status_code == 200
    settings.STAFF_SECOND_FACTOR = True
    assert client.get("/admin/").headers["Location"] == reverse("second-factor")
    assert is_in(browser(house.reader), house)
