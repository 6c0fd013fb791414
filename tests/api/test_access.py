"""Every operation of the API by token: who is let in, how the others are refused, and what stays hidden."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.api.conftest import Program, program
from tests.factories import make_analysis, make_study, make_submission, png
from tests.house import House, body, browser
from xrayportal.api.routes import api
from xrayportal.audit.models import AuditEvent
from xrayportal.clinics.actors import Actor
from xrayportal.intake.upload_handler import BoundedFileUploadHandler
from xrayportal.tokens.models import Scope
from xrayportal.tokens.services import revoke_token

pytestmark = pytest.mark.django_db

SCHEMA = json.loads(json.dumps(api.get_openapi_schema(path_prefix="/api/v1/")))
OPERATIONS = [(method, path) for path, methods in SCHEMA["paths"].items() for method in methods]

#: Of whom the answer is not the same 404 as for a missing row. The rows below are of the clinic's uploader.
#: Services: `uploader` (another one), `reader`, `admin`. Persons: `sender` (that one), `person` (a reader).
OWN = {"sender"}
ALL = {"sender", "reader", "admin", "person"}
EVERYBODY = {"sender", "uploader", "reader", "admin", "person"}
REACHED = {
    ("get", "/api/v1/token"): EVERYBODY,
    ("get", "/api/v1/submissions"): EVERYBODY,
    ("post", "/api/v1/submissions"): EVERYBODY,
    ("get", "/api/v1/submissions/{submission}"): ALL,
    ("get", "/api/v1/submissions/{submission}/uploads"): ALL,
    ("post", "/api/v1/submissions/{submission}/uploads"): OWN,
    ("post", "/api/v1/submissions/{submission}/finish"): {"sender", "admin"},
    ("post", "/api/v1/submissions/{submission}/cancel"): {"sender", "admin"},
    ("get", "/api/v1/studies"): EVERYBODY,
    ("get", "/api/v1/studies/{study}"): ALL,
    ("get", "/api/v1/studies/{study}/analyses"): ALL,
    ("post", "/api/v1/studies/{study}/analyses"): ALL,
    ("get", "/api/v1/analyses/{analysis}"): ALL,
    ("post", "/api/v1/analyses/{analysis}/cancel"): ALL,
    ("get", "/api/v1/findings/{finding}"): ALL,
    ("get", "/api/v1/findings/{finding}/files/{kind}"): ALL,
    ("get", "/api/v1/images/{image}/original"): ALL,
    ("get", "/api/v1/studies/{study}/reviews"): ALL,
    ("post", "/api/v1/studies/{study}/reviews"): {"person"},
    ("get", "/api/v1/audit/events"): {"admin"},
}


@pytest.fixture
def rows(house: House) -> dict[str, Any]:
    """One row of everything that an address can name, of the house's uploader."""
    study = make_study(submission=make_submission(house.clinic, house.uploader))
    analysis = make_analysis(study)
    return {
        "submission": study.submission_id,
        "study": study.pk,
        "analysis": analysis.pk,
        "image": study.images.get().pk,
        "finding": analysis.findings.get().pk,
        "kind": "overlay",
    }


@pytest.fixture
def programs(house: House) -> dict[str, Program]:
    """A program of every kind."""
    return {
        "sender": program(house.clinic, house.uploader, ""),
        "person": program(house.clinic, house.reader, ""),
        **{role: program(house.clinic, house.admin, role) for role in ("uploader", "reader", "admin")},
    }


def call(client: Client, method: str, path: str, rows: dict[str, Any], headers: dict[str, str]) -> Any:
    """The answer to a well-formed request."""
    address = path.format(**rows)
    if method == "get":
        return client.get(address, headers=headers)
    if path.endswith("/uploads"):
        file = {"file": SimpleUploadedFile("a.png", png(shade=99))}
        return client.post(address, file, headers={**headers, "idempotency-key": uuid.uuid4().hex})
    content = {"verdict": "normal"} if path.endswith("/reviews") else {}
    return client.post(address, json.dumps(content), content_type="application/json", headers=headers)


def test_every_operation_is_in_the_table() -> None:
    assert set(OPERATIONS) == set(REACHED)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_by_role(
    programs: dict[str, Program], rows: dict[str, Any], method: str, path: str
) -> None:
    for name, caller in programs.items():
        response = call(caller.client, method, path, rows, caller.headers)
        content = body(response)
        if name in REACHED[method, path]:
            assert response.status_code in (200, 201, 202), (name, content)
        else:
            assert response.status_code in (403, 404), (name, content)
            assert response.headers["Content-Type"] == "application/problem+json"
            if response.status_code == 404:
                missing = dict.fromkeys(rows, uuid.uuid4()) | {"kind": "overlay"}
                there_is_none = call(caller.client, method, path, missing, caller.headers)
                assert body(there_is_none) == content


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_who_has_no_token_gets_nothing(house: House, rows: dict[str, Any], method: str, path: str) -> None:
    revoked = program(house.clinic, house.admin, "admin")
    revoke_token(token=revoked.token, actor=Actor(house.admin))
    signed_in = browser(house.admin)
    before = AuditEvent.objects.count()
    for headers in ({}, {"authorization": "Bearer xrp_wrong"}, revoked.headers):
        response = call(Client(), method, path, rows, headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.json()["detail"]
    # A browser's session opens nothing: another site could send it along.
    assert call(signed_in, method, path, rows, {}).status_code == 401
    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_another_clinics_token_gets_nothing(
    house: House, rows: dict[str, Any], method: str, path: str
) -> None:
    foreign = program(house.stranger.memberships.all()[0].clinic, house.stranger, "")
    response = call(foreign.client, method, path, rows, foreign.headers)
    if "{" in path:
        assert response.status_code == 404
    assert str(rows["study"]).encode() not in body(response)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_needs_its_scope(house: House, rows: dict[str, Any], method: str, path: str) -> None:
    description = SCHEMA["paths"][path][method]["description"]
    needed = [scope for scope in Scope if f"`{scope}`" in description.rpartition("Needs the scope")[2]]
    assert len(needed) == 1
    others = program(house.clinic, house.reader, "", scopes=[scope for scope in Scope if scope not in needed])
    assert call(others.client, method, path, rows, others.headers).status_code == 403


def test_a_stranger_fills_no_disk(rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []
    monkeypatch.setattr(BoundedFileUploadHandler, "new_file", lambda *args, **kwargs: begun.append(args))
    large = SimpleUploadedFile("a.png", b"x" * 3_000_000)
    address = f"/api/v1/submissions/{rows['submission']}/uploads"
    assert Client().post(address, {"file": large}).status_code == 401
    assert not begun


def test_what_is_not_there_is_a_problem(reader: Program) -> None:
    for path in ("nothing", "studies/", "studies/1/2/3", ""):
        response = reader.get(path)
        assert response.status_code == 404
        assert response.headers["Content-Type"] == "application/problem+json"
    wrong = reader.client.delete("/api/v1/studies", headers=reader.headers)
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET")
    assert wrong.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"verdict": "normal", "more": 1}', "\x00", "{" * 5000]
)
def test_a_body_that_cannot_be_read_is_a_problem(reader: Program, rows: dict[str, Any], content: str) -> None:
    address = f"/api/v1/studies/{rows['study']}/reviews"
    response = reader.client.post(address, content, content_type="application/json", headers=reader.headers)
    assert response.status_code in (400, 422)
    assert response.headers["Content-Type"] == "application/problem+json"


def test_too_many_requests_are_told_when_to_go_on(reader: Program, settings: Any) -> None:
    settings.API_REQUESTS_A_MINUTE = 3
    statuses = [reader.get("token") for _ in range(8)]  # the minute may turn once in between
    refused = [answer for answer in statuses if answer.status_code == 429]
    assert refused
    assert statuses[0].status_code == 200
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60


def test_without_redis_nothing_is_counted(reader: Program, settings: Any) -> None:
    settings.API_REQUESTS_A_MINUTE = 1
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert [reader.get("token").status_code for _ in range(3)] == [200, 200, 200]


def test_the_documentation_comes_from_here() -> None:
    page = Client().get("/api/v1/docs")
    assert page.status_code == 200
    text = page.content.decode()
    assert "//" not in text.replace("http://www.w3.org", "").replace("://testserver", "")
    document = Client().get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {path for _method, path in OPERATIONS}
