"""STOW-RS: what a program with a token sends, and what it is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from pydicom.uid import generate_uid

from tests.factories import dicom
from tests.house import House
from xrayportal.clinics.actors import Actor
from xrayportal.dicom import stow as stow_reader
from xrayportal.dicom.models import OriginalIdentifiers, ReturnSettings
from xrayportal.intake import ingest
from xrayportal.studies.models import Image, Study, Submission
from xrayportal.tokens.services import create_token, revoke_token
from xrayportal.web.dicom import stow as stow_view

pytestmark = pytest.mark.django_db
RELATED = 'multipart/related; type="application/dicom"; boundary=xyz'
STORED, FAILED, REASON, INSTANCE = "00081199", "00081198", "00081197", "00081155"


def secret_of(house: House, role: str = "uploader", scope: str = "submissions:write") -> Any:
    return create_token(
        clinic=house.clinic, actor=Actor(house.admin), name="bridge", role=role, scopes=[scope], days=1
    )


@pytest.fixture
def secret(house: House) -> str:
    ReturnSettings.objects.create(clinic=house.clinic, when=ReturnSettings.When.FINAL)
    return str(secret_of(house)[1])


def body(*files: bytes, end: bytes = b"--xyz--\r\n") -> bytes:
    part = b"--xyz\r\nContent-Type: application/dicom\r\n\r\n%b\r\n"
    return b"".join(part % file for file in files) + end


def stow(secret: str, content: bytes, *, study: str = "", content_type: str = RELATED) -> Any:
    address = f"/dicom-web/studies/{study}" if study else "/dicom-web/studies"
    return Client(enforce_csrf_checks=True).post(
        address, content, content_type=content_type, headers={"Authorization": f"Bearer {secret}"}
    )


def test_a_study_is_stored_and_kept_for_an_answer(secret: str, house: House) -> None:
    study, instance = generate_uid(), generate_uid()
    files = [dicom(study_uid=study, SOPInstanceUID=instance), dicom(study_uid=study, shade=900)]
    for _again in range(2):
        answer = stow(secret, body(*files))
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/dicom+json"
        stored = answer.json()[STORED]["Value"]
        assert stored[0][INSTANCE]["Value"] == [instance]
        assert FAILED not in answer.json()
    assert Study.objects.get().images.count() == 2
    submission = Submission.objects.get()
    assert (submission.source, submission.sender) == ("dicom", "bridge")
    assert submission.submitter is not None
    assert OriginalIdentifiers.objects.count() == 2


def test_some_failures_are_named_one_by_one(secret: str) -> None:
    answer = stow(secret, body(dicom(), dicom(Modality="CT"), b"nonsense"))
    assert answer.status_code == 202
    assert [one[REASON]["Value"] for one in answer.json()[FAILED]["Value"]] == [[0xA900], [0xC000]]
    assert Image.objects.count() == 1


def test_nothing_taken_is_a_conflict(secret: str) -> None:
    assert stow(secret, body(dicom(NumberOfFrames=2))).status_code == 409


def test_an_object_of_another_study_than_the_address_is_not_taken(secret: str) -> None:
    study = generate_uid()
    assert stow(secret, body(dicom(study_uid=study)), study=study).status_code == 200
    assert stow(secret, body(dicom()), study=study).status_code == 409


def test_an_object_that_is_too_large_is_not_held_in_memory(secret: str, settings: Any) -> None:
    settings.UPLOAD_MAX_BYTES = 3000
    answer = stow(secret, body(dicom(rows=300, columns=300), dicom(rows=4, columns=4, pixels=b"\0" * 32)))
    assert answer.status_code == 202
    assert answer.json()[FAILED]["Value"][0][REASON]["Value"] == [0xC012]


def test_full_storage_asks_to_come_back(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ingest, "write_durably", full)
    answer = stow(secret, body(dicom()))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert not Study.objects.exists()


def test_a_body_that_ends_early_keeps_what_was_complete(secret: str) -> None:
    whole = body(dicom(), dicom(shade=900))
    answer = stow(secret, whole[: len(whole) - 500])
    assert answer.status_code == 400
    assert "ends before its last boundary" in answer.json()["detail"]
    assert Image.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"\r\n", RELATED, 400),
        (b"--xyz--\r\n", RELATED, 400),
        (b"no boundary at all", RELATED, 400),
        (body(dicom()), "multipart/related; type=application/dicom", 400),
        (body(dicom()), "multipart/form-data; boundary=xyz", 415),
        (body(dicom()), 'multipart/related; type="application/dicom+xml"; boundary=xyz', 415),
        (dicom(), "application/dicom", 415),
        (b"", "", 415),
    ],
)
def test_another_body_is_refused(secret: str, content: bytes, content_type: str, status: int) -> None:
    answer = stow(secret, content, content_type=content_type)
    assert answer.status_code == status
    assert json.loads(answer.content)["detail"]
    assert not Image.objects.exists()


def test_too_many_requests_are_told_when_to_go_on(secret: str, settings: Any) -> None:
    settings.API_REQUESTS_A_MINUTE = 1
    answers = [stow(secret, body(dicom())) for _ in range(3)]  # the minute may turn once in between
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
    assert json.loads(refused[0].content)["detail"]


def test_only_tokens_that_may_send(house: House) -> None:
    assert stow("", body(dicom())).status_code == 401
    refused = stow("xrp_wrong", body(dicom()))
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert stow(secret_of(house, scope="studies:read")[1], body(dicom())).status_code == 403
    token, secret = secret_of(house)
    revoke_token(token=token, actor=Actor(house.admin))
    assert stow(secret, body(dicom())).status_code == 401
    assert Client().get("/dicom-web/studies").status_code == 405
    assert not Image.objects.exists()


def test_each_object_is_a_request_of_the_token(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three thousand in one request passed the limit as one."""
    waits = iter([0.0, 12.3])
    monkeypatch.setattr(stow_view, "seconds_to_wait", lambda key: next(waits))
    answer = stow(secret, body(dicom(), dicom(shade=900), dicom(shade=901)))
    assert answer.status_code == 202
    assert answer.json()[FAILED]["Value"][0][REASON]["Value"] == [0xA701]
    assert Image.objects.count() == 2


def test_a_request_holds_so_many_objects(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stow_reader, "MOST_OBJECTS", 2)
    answer = stow(secret, body(dicom(), dicom(shade=900), dicom(shade=901)))
    assert answer.status_code == 413
    assert Image.objects.count() == 2


def test_a_boundary_that_is_too_long_is_refused(secret: str) -> None:
    assert stow(secret, body(), content_type=RELATED.replace("xyz", "x" * 3000)).status_code == 400
