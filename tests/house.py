"""A clinic with people of every role, a stranger from another clinic, and browsers they sign in with."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tests.factories import make_bundle, make_clinic, make_submission, make_superuser, make_user
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic, Role, User
from xrayportal.intake.ingest import IncomingFile, ingest_file
from xrayportal.studies.models import Study, Submission, Upload


@dataclass(frozen=True)
class House:
    """One clinic's people, and those who have no business there."""

    clinic: Clinic
    uploader: User
    colleague: User
    reader: User
    admin: User
    stranger: User
    superuser: User


@pytest.fixture
def house(db: None) -> House:
    """A clinic with an active bundle and its people."""
    make_bundle()
    clinic, other = make_clinic(), make_clinic()
    return House(
        clinic=clinic,
        uploader=make_user(clinic, Role.UPLOADER),
        colleague=make_user(clinic, Role.UPLOADER),
        reader=make_user(clinic, Role.READER),
        admin=make_user(clinic, Role.ADMIN),
        stranger=make_user(other, Role.READER, Role.ADMIN),
        superuser=make_superuser(),
    )


def browser(user: User | None) -> Client:
    """A browser in which this person (or nobody) is signed in."""
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def body(response: Any) -> bytes:
    """The whole answer (a file closes when read to its end) without the token that differs in every page."""
    content: bytes = b"".join(response) if response.streaming else response.content
    return re.sub(rb"[A-Za-z0-9]{64}", b"token", content)


def take(submission: Submission, content: bytes, key: str = "k", **facts: Any) -> Upload:
    """What becomes of one file, without a browser."""
    facts = {"path": f"{key}.bin", "actor": Actor(submission.submitter, "192.0.2.1"), **facts}
    return ingest_file(IncomingFile(submission=submission, key=key, **facts), BytesIO(content))


def only_study() -> Study:
    """The one there is."""
    return Study.objects.get()


@pytest.fixture
def submission(db: None) -> Submission:
    """An open one, while a bundle is active."""
    make_bundle()
    return make_submission(make_clinic())


@dataclass(frozen=True)
class Sender:
    """Sends files as the page does."""

    client: Client
    clinic: Clinic

    def begin(self, expected_files: int = 1) -> dict[str, Any]:
        """Open a submission; the addresses that the answer gives."""
        response = self.client.post(
            reverse("submissions", args=[self.clinic.slug]), {"expected_files": expected_files}
        )
        assert response.status_code == 201, response.content
        answer: dict[str, Any] = response.json()
        return answer

    def send(self, begun: dict[str, Any], name: str, content: bytes, key: str = "", **fields: str) -> Any:
        """Send one file; the response."""
        file = SimpleUploadedFile(name, content)
        return self.client.post(begun["uploads"], {"file": file, "key": key or name[-60:], **fields})

    def finish(self, begun: dict[str, Any]) -> Submission:
        """No more files come."""
        response = self.client.post(begun["finish"], headers={"accept": "application/json"})
        assert response.status_code == 200, response.content
        return Submission.objects.get(pk=begun["id"])

    def send_all(self, files: dict[str, bytes]) -> dict[str, Upload]:
        """A whole submission, finished; the uploads by the name they were sent under."""
        begun = self.begin(len(files))
        found = {}
        for number, (name, content) in enumerate(files.items()):
            response = self.send(begun, name, content, key=f"k{number}")
            assert response.status_code == 201, response.content
            found[name] = Upload.objects.get(pk=response.json()["id"])
        self.finish(begun)
        return found


@pytest.fixture
def sender(house: House) -> Sender:
    """The uploader's browser."""
    return Sender(browser(house.uploader), house.clinic)


@pytest.fixture
def stored_files() -> Callable[[], set[str]]:
    """Names of all files in the storage that were not there when the test began."""
    root = Path(settings.MEDIA_ROOT)

    def names() -> set[str]:
        return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}

    before = names()
    return lambda: names() - before
