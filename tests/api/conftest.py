"""Programs with tokens of every kind, and what they call."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.house import House
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic, User
from xrayportal.tokens.models import ApiToken, Scope
from xrayportal.tokens.services import create_token

#: All that a service may have.
SERVICE = [scope for scope in Scope if scope != Scope.REVIEWS_WRITE]


@dataclass
class Program:
    """A program with a token."""

    token: ApiToken
    secret: str
    client: Client = field(default_factory=Client)

    @property
    def headers(self) -> dict[str, str]:
        """What identifies it."""
        return {"authorization": f"Bearer {self.secret}"}

    def get(self, path: str, **headers: str) -> Any:
        """The answer to a GET of an address below ``/api/v1/``."""
        return self.client.get(address(path), headers={**self.headers, **headers})

    def post(self, path: str, content: Any = None, **headers: str) -> Any:
        """The answer to a POST of JSON."""
        return self.client.post(
            address(path),
            json.dumps({} if content is None else content),
            content_type="application/json",
            headers={**self.headers, **headers},
        )

    def send(self, submission: str, name: str, content: bytes, key: str = "k", **fields: str) -> Any:
        """The answer to one file."""
        return self.client.post(
            address(f"submissions/{submission}/uploads"),
            {"file": SimpleUploadedFile(name, content), **fields},
            headers={**self.headers, "idempotency-key": key},
        )

    def open(self, **fields: Any) -> str:
        """The id of a new submission."""
        response = self.post("submissions", fields)
        assert response.status_code == 201, response.content
        return str(response.json()["id"])


def address(path: str) -> str:
    """The whole address; one from an answer is whole already."""
    return path if path.startswith("/") else f"/api/v1/{path}"


def program(
    clinic: Clinic, maker: User, role: str, scopes: list[Scope] | None = None, name: str = "bridge"
) -> Program:
    """A program whose token this person made; ``role`` as of ``create_token``."""
    scopes = scopes or (SERVICE if role else list(Scope))
    actor = Actor(maker, "192.0.2.1")
    return Program(*create_token(clinic=clinic, actor=actor, name=name, role=role, scopes=scopes, days=1))


@pytest.fixture
def uploader(house: House) -> Program:
    """An uploader's service."""
    return program(house.clinic, house.admin, "uploader")


@pytest.fixture
def reader(house: House) -> Program:
    """A program that acts as the clinic's reader."""
    return program(house.clinic, house.reader, "")


@pytest.fixture
def admin(house: House) -> Program:
    """An admin's service."""
    return program(house.clinic, house.admin, "admin")
