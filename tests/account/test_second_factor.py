"""The second factor: set up, changed, kept, recovered and removed."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.account.factors import add_factor, give_code, give_password, is_in, open_changes, wrong
from tests.factories import PASSWORD
from tests.house import House, browser
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics import second_factor
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import SecondFactor, Session, User
from xrayportal.web.account.second_factor import OPEN_SECONDS

pytestmark = pytest.mark.django_db


def test_setting_up_takes_the_password_and_a_code(house: House) -> None:
    client = Client()
    client.post(reverse("sign-in"), {"username": house.reader.email, "password": PASSWORD})
    elsewhere = browser(house.reader)
    begin, confirm = reverse("second-factor-begin"), reverse("second-factor-confirm")
    assert open_changes(client, "guess").status_code == 422
    assert client.post(begin).status_code == 302
    assert not SecondFactor.objects.exists()
    assert open_changes(client).status_code == 302
    assert client.post(begin).status_code == 302
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


def test_changes_take_a_code(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    app, old = add_factor(house.reader)
    client = give_password(house.reader)
    give_code(client, old[0])
    assert open_changes(client, wrong(app)).status_code == 422
    for name in ("codes", "remove", "app-remove", "begin"):
        answer = client.post(reverse(f"second-factor-{name}"), headers={"accept": "application/json"})
        assert answer.status_code == 403
    assert open_changes(client, old[1]).status_code == 302
    page = client.post(reverse("second-factor-codes")).content.decode()
    new = re.findall(r"<li>((?:[0-9a-z]{4}-){3}[0-9a-z]{4})</li>", page)
    assert len(new) == second_factor.RECOVERY_CODES
    assert not second_factor.use_code(house.reader, old[2])
    assert client.post(reverse("second-factor-begin")).status_code == 302
    assert second_factor.app_since(house.reader) is not None
    with monkeypatch.context() as patch:
        late = timezone.now() + timedelta(seconds=OPEN_SECONDS)
        patch.setattr(timezone, "now", lambda: late)
        assert client.post(reverse("second-factor-remove")).status_code == 302
        assert SecondFactor.objects.exists()
    assert client.post(reverse("second-factor-remove")).status_code == 302
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
