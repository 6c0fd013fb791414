"""People with a second factor, and how they come in."""

from __future__ import annotations

import pyotp
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from tests.factories import PASSWORD
from tests.house import House
from xrayportal.clinics import second_factor
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import User
from xrayportal.clinics.second_factor import STEP_SECONDS as STEP


def code_at(app: pyotp.TOTP, steps: int) -> str:
    """The app's code so many steps after the present one, by the portal's clock."""
    return app.at(second_factor.time.time() + steps * STEP)


def add_factor(user: User) -> tuple[pyotp.TOTP, list[str]]:
    """The person's app and recovery codes. The code of the step before the present one is used up."""
    second_factor.begin(user)
    secret = second_factor.app_secret(user)
    assert secret is not None
    app = pyotp.TOTP(secret)
    codes = second_factor.confirm(user, code_at(app, -1), actor=Actor(user))
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
    near = {code_at(app, step) for step in range(-3, 8)}
    return next(code for code in ("000000", "111111", "222222") if code not in near)


def open_changes(client: Client, proof: str = PASSWORD) -> HttpResponse:
    """Let this browser change the second factor, by a password or a code."""
    return client.post(reverse("second-factor-open"), {"password": proof, "code": proof})  # type: ignore[return-value]
