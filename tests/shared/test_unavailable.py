"""While the database or the file storage is away: one sentence with 503, and nothing half-stored."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client
from django.urls import reverse

from tests.factories import make_submission, png
from tests.house import House
from xrayportal.studies.models import Image, Upload
from xrayportal.web.shared import unavailable

JSON = {"Accept": "application/json"}
TROUBLES = ["away", "full", "read-only"]


def quiet_browser(user: Any) -> Client:
    """Answers as the server does, instead of raising what the view raised."""
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


@pytest.fixture
def no_database() -> Iterator[None]:
    """No query is answered any more."""

    def away(*_: Any, **__: Any) -> Any:
        raise OperationalError("connection refused")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseWrapper, "cursor", away)
        yield


def break_storage(how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file stands where the folder was, or the disk takes nothing."""
    if how == "away":
        (tmp_path / "file").touch()
        monkeypatch.setattr(default_storage, "location", str(tmp_path / "file"))
        return
    number = errno.ENOSPC if how == "full" else errno.EROFS

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("xrayportal.studies.storage.os.fsync", refuse)


def send(client: Client, house: House) -> Any:
    """Send one picture, as the page does."""
    submission = make_submission(house.clinic, submitter=house.uploader)
    address = reverse("submission-uploads", args=[house.clinic.slug, submission.pk])
    file = SimpleUploadedFile("wrist.png", png())
    return client.post(address, {"key": "one", "file": file}, headers=JSON)


def test_a_page_without_a_database(house: House, request: pytest.FixtureRequest) -> None:
    client = quiet_browser(house.reader)
    request.getfixturevalue("no_database")
    response = client.get(reverse("worklist", args=[house.clinic.slug]))
    page = response.content.decode()
    assert (response.status_code, response["Retry-After"]) == (503, "10")
    assert "database does not answer at the moment" in " ".join(page.split())
    assert "Research use only." in page
    assert "no-store" in response["Cache-Control"]


def test_a_program_without_a_database(house: House, request: pytest.FixtureRequest) -> None:
    client = quiet_browser(house.reader)
    request.getfixturevalue("no_database")
    response = client.get(reverse("worklist", args=[house.clinic.slug]), headers=JSON)
    assert (response.status_code, response.json()["unavailable"]) == (503, "database")
    assert "database does not answer" in response.json()["sentence"]


def test_german_without_a_database(house: House, request: pytest.FixtureRequest) -> None:
    client = quiet_browser(house.reader)
    request.getfixturevalue("no_database")
    response = client.get("/", headers={"Accept-Language": "de"})
    assert "Die Datenbank des Portals antwortet gerade nicht." in response.content.decode()


def test_it_is_logged_once_and_without_a_traceback(
    house: House, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    unavailable._logged.clear()
    client = quiet_browser(house.reader)
    request.getfixturevalue("no_database")
    for _ in range(3):
        client.get("/")
    assert [record.getMessage() for record in caplog.records] == ["The database is away: OperationalError"]


@pytest.mark.parametrize("how", TROUBLES)
def test_a_picture_is_not_half_stored(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    client = quiet_browser(house.uploader)
    break_storage(how, monkeypatch, tmp_path)
    response = send(client, house)
    assert (response.status_code, response.json()["unavailable"]) == (503, "storage")
    assert "Nothing of what you just sent was stored." in response.json()["sentence"]
    assert not Upload.objects.exists()
    assert not Image.objects.exists()
    folder = Path(default_storage.path(f"clinics/{house.clinic.pk}"))
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_the_same_picture_is_taken_once_the_storage_is_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = quiet_browser(house.uploader)
    with monkeypatch.context() as patch:
        patch.setattr("xrayportal.studies.storage.Path.rename", lambda *_: (_ for _ in ()).throw(OSError(5)))
        assert send(client, house).status_code == 503
    assert send(client, house).status_code == 201


@pytest.mark.parametrize("how", TROUBLES)
def test_statusz_is_red_while_the_storage_takes_nothing(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    cache.clear()
    assert client.get("/statusz").json()["services"]["storage"] == {"ok": True}
    assert default_storage.listdir("health")[1] == []
    break_storage(how, monkeypatch, tmp_path)
    cache.clear()
    response = client.get("/statusz")
    assert response.status_code == 503
    assert "storage" in response.json()["missing"]
    cache.clear()


def test_another_error_stays_an_error(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    client = quiet_browser(house.reader)
    monkeypatch.setattr("xrayportal.web.worklist.views.render", lambda *_, **__: 1 / 0)
    address = reverse("worklist", args=[house.clinic.slug])
    assert client.get(address).status_code == 500
    assert client.get(address, headers=JSON).json()["sentence"].startswith("An error occurred")
