"""The second factor: set up, asked for at the door, used up, counted, required, recovered and removed."""

from __future__ import annotations

import ast
import re
import time
from pathlib import Path
from typing import Any

import pyotp
import pytest
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from tests.addresses import addresses
from tests.factories import PASSWORD, make_superuser
from tests.house import House, browser
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics import second_factor, sign_in
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import SecondFactor, Session, User

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]
STEP = second_factor.STEP_SECONDS


def add_factor(user: User) -> tuple[pyotp.TOTP, list[str]]:
    """The person's app and recovery codes. The code of the step before the present one is used up."""
    second_factor.begin(user)
    secret = second_factor.app_secret(user)
    assert secret is not None
    app = pyotp.TOTP(secret)
    codes = second_factor.confirm(user, app.at(time.time() - STEP), actor=Actor(user))
    assert codes is not None
    return app, codes


def give_password(user: User, client: Client | None = None, path: str = "") -> Client:
    client = client or Client()
    address = path or reverse("sign-in")
    response = client.post(address, {"username": user.email, "password": PASSWORD})
    assert response.headers["Location"].startswith(reverse("sign-in-code"))
    return client


def give_code(client: Client, code: str, **extra: str) -> HttpResponse:
    return client.post(reverse("sign-in-code"), {"code": code}, **extra)  # type: ignore[arg-type]


def is_in(client: Client, house: House) -> bool:
    return client.get(reverse("worklist", args=[house.clinic.slug])).status_code == 200


def wrong(app: pyotp.TOTP) -> str:
    """Six digits that are no code of the next minutes."""
    near = {app.at(time.time() + step * STEP) for step in range(-3, 8)}
    return next(code for code in ("000000", "111111", "222222") if code not in near)


def test_setting_up_takes_the_password_and_a_code(house: House) -> None:
    client = Client()
    client.post(reverse("sign-in"), {"username": house.reader.email, "password": PASSWORD})
    elsewhere = browser(house.reader)
    begin, confirm = reverse("second-factor-begin"), reverse("second-factor-confirm")
    assert client.post(begin, {"password": "guess"}).status_code == 422
    assert not SecondFactor.objects.exists()
    assert client.post(begin, {"password": PASSWORD}).status_code == 302
    page = client.get(reverse("second-factor")).content.decode()
    secret = re.search(r'<code class="mono">([A-Z2-7 ]+)</code>', page)
    assert secret
    assert "data:image/svg+xml" in page
    assert secret[1] not in elsewhere.get(reverse("second-factor")).content.decode()
    app = pyotp.TOTP(secret[1].replace(" ", ""))
    assert client.post(confirm, {"code": wrong(app)}).status_code == 422
    assert elsewhere.post(confirm, {"code": app.now()}).status_code == 302  # whose browser gave no password
    assert User.objects.get(pk=house.reader.pk).second_factor_since is None
    page = client.post(confirm, {"code": app.now()}).content.decode()
    codes = re.findall(r"<li>((?:[0-9a-z]{4}-){3}[0-9a-z]{4})</li>", page)
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    assert is_in(client, house)
    assert not is_in(elsewhere, house)
    assert Session.objects.filter(user=house.reader).count() == 1
    row = SecondFactor.objects.get()
    stored = f"{bytes(row.secret)!r}{row.recovery_codes}"
    assert app.secret not in stored
    assert not any(code in stored for code in codes)
    assert "data:image" not in client.get(reverse("second-factor")).content.decode()


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
    assert not second_factor.use_code(house.reader, app.at(time.time() - STEP))


@pytest.mark.parametrize("steps", [-2, 2, 20])
def test_codes_of_other_times_are_refused(house: House, steps: int) -> None:
    app, _ = add_factor(house.reader)
    SecondFactor.objects.update(last_step=0)
    assert not second_factor.use_code(house.reader, app.at(time.time() + steps * STEP))


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
    assert client.post(reverse("second-factor-remove"), {"code": "x"}).status_code == 302
    assert User.objects.get(pk=house.reader.pk).second_factor_since is not None
    assert client.post(reverse("sign-out")).status_code == 302


def test_every_closed_address_waits_for_a_required_factor(house: House) -> None:
    house.clinic.requires_second_factor = True
    house.clinic.save()
    client = browser(house.admin)
    allowed = {"/sign-out/", *(reverse(f"second-factor{end}") for end in ("", "-begin", "-confirm"))}
    for address, needs_sign_in in addresses():
        if needs_sign_in and address not in allowed:
            answer = client.get(address)
            assert (answer.status_code, answer.headers["Location"]) == (302, reverse("second-factor")), (
                address
            )


def test_staff_can_be_required_too(house: House, settings: Any) -> None:
    client = browser(house.superuser)
    assert client.get("/admin/").status_code == 200
    settings.STAFF_SECOND_FACTOR = True
    assert client.get("/admin/").headers["Location"] == reverse("second-factor")
    assert is_in(browser(house.reader), house)


def test_changes_take_a_code(house: House) -> None:
    app, old = add_factor(house.reader)
    client = give_password(house.reader)
    give_code(client, old[0])
    for name in ("second-factor-codes", "second-factor-remove"):
        assert client.post(reverse(name), {"code": wrong(app)}).status_code == 422
    page = client.post(reverse("second-factor-codes"), {"code": old[1]}).content.decode()
    new = re.findall(r"<li>((?:[0-9a-z]{4}-){3}[0-9a-z]{4})</li>", page)
    assert len(new) == second_factor.RECOVERY_CODES
    assert not second_factor.use_code(house.reader, old[2])
    assert client.post(reverse("second-factor-begin"), {"password": PASSWORD}).status_code == 302
    assert client.post(reverse("second-factor-remove"), {"code": new[0]}).status_code == 302
    assert not SecondFactor.objects.exists()
    assert is_in(client, house)
    changes = AuditEvent.objects.filter(action=Action.SECOND_FACTOR_CHANGED).order_by("number")
    assert [event.detail["change"] for event in changes] == ["added", "new recovery codes", "removed"]


def test_a_factor_that_is_made_anew_ends_sessions_of_the_former(house: House) -> None:
    app, _ = add_factor(house.reader)
    client = give_password(house.reader)
    give_code(client, app.now())
    second_factor.remove(house.reader, actor=Actor(house.reader))
    assert is_in(client, house)
    add_factor(house.reader)
    assert not is_in(client, house)


def test_another_password_keeps_the_factor(house: House) -> None:
    app, _ = add_factor(house.reader)
    client = give_password(house.reader)
    give_code(client, app.now())
    form = {
        "old_password": PASSWORD,
        "new_password1": "quite another horse",
        "new_password2": "quite another horse",
    }
    assert client.post(reverse("password"), form).status_code == 302
    assert is_in(client, house)
    response = Client().post(
        reverse("sign-in"), {"username": house.reader.email, "password": "quite another horse"}
    )
    assert response.headers["Location"] == reverse("sign-in-code")


def test_a_lost_secret_key_leaves_the_recovery_codes(house: House, settings: Any) -> None:
    app, codes = add_factor(house.reader)
    settings.SECRET_KEY = "another one"
    assert not second_factor.use_code(house.reader, app.now())
    assert second_factor.use_code(house.reader, codes[0])


def test_the_command_line_helps_who_lost_everything(house: House) -> None:
    add_factor(house.reader)
    call_command("remove_second_factor", house.reader.email.upper())
    assert User.objects.get(pk=house.reader.pk).second_factor_since is None
    for email in (house.reader.email, "nobody@example.org"):
        with pytest.raises(CommandError, match=email):
            call_command("remove_second_factor", email)
    assert AuditEvent.objects.filter(action=Action.SECOND_FACTOR_CHANGED).count() == 2
