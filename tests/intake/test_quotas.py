"""Limits of clinics and persons: 429 with a sentence and a time, by one rule for the browser and the API."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.api.conftest import Program, program
from tests.dicom.test_stow import FAILED, REASON, body, stow
from tests.factories import dicom, make_analysis, make_study, make_submission, png
from tests.house import House, Sender, browser, take
from xrayportal.analyses.models import Analysis
from xrayportal.clinics.models import Role
from xrayportal.intake import quotas
from xrayportal.intake.quotas import QuotaExceededError
from xrayportal.studies.models import Image, Study, Submission, Upload, Usage

pytestmark = pytest.mark.django_db

HALF_A_DAY = 12 * 3600


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test of a day's limit goes on past midnight."""
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    monkeypatch.setattr(quotas, "timezone", SimpleNamespace(now=lambda: at))


@pytest.fixture
def service(house: House) -> Program:
    """An uploader's service of the same clinic."""
    return program(house.clinic, house.admin, Role.UPLOADER)


def test_a_persons_files_a_day(house: House, sender: Sender, service: Program, settings: Any) -> None:
    settings.QUOTA_PERSON_FILES_A_DAY = 2
    begun = sender.begin(3)
    for number in range(2):
        assert sender.send(begun, "a.png", png(shade=number), key=f"k{number}").status_code == 201
    refused = sender.send(begun, "c.png", png(shade=9), key="k9")
    assert refused.status_code == 429
    assert "2 files today" in refused.json()["sentence"]
    assert int(refused.headers["Retry-After"]) == HALF_A_DAY
    assert Image.objects.count() == Upload.objects.count() == 2
    assert sender.send(begun, "a.png", png(shade=0), key="k0").status_code == 200  # the same file again
    assert service.send(service.open(), "c.png", png(shade=9)).status_code == 201  # somebody else
    Usage.objects.update(day="2020-01-01")
    assert sender.send(begun, "c.png", png(shade=10), key="k9").status_code == 201


def test_a_clinics_files_a_day(house: House, sender: Sender, service: Program, settings: Any) -> None:
    settings.QUOTA_CLINIC_FILES_A_DAY = 2
    sender.send(sender.begin(), "a.png", png(shade=1))
    pk = service.open()
    assert service.send(pk, "b.png", b"not taken, and yet sent", key="1").json()["outcome"] == "rejected"
    refused = service.send(pk, "c.png", png(shade=3), key="2")
    assert refused.status_code == 429
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert "2 files today" in refused.json()["detail"]
    assert int(refused.headers["Retry-After"]) == HALF_A_DAY
    other = Sender(browser(house.stranger), house.stranger.memberships.all()[0].clinic)
    assert other.send(other.begin(), "d.png", png(shade=4)).status_code == 201


@pytest.mark.parametrize("limit", ["QUOTA_CLINIC_WAITING", "QUOTA_PERSON_WAITING"])
def test_a_long_queue(sender: Sender, settings: Any, limit: str) -> None:
    setattr(settings, limit, 1)
    begun = sender.begin(3)
    assert sender.send(begun, "a.png", png(shade=1), key="1").status_code == 201
    cache.clear()
    refused = sender.send(begun, "b.png", png(shade=2), key="2")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    study = Study.objects.get()
    study.analyses.all().delete()
    make_analysis(study)
    cache.clear()
    assert sender.send(begun, "b.png", png(shade=2), key="2").status_code == 201


def test_what_a_clinic_stores(house: House, sender: Sender, settings: Any) -> None:
    make_study(submission=make_submission(house.clinic, house.colleague))
    settings.QUOTA_CLINIC_BYTES = Image.objects.get().size + 10
    refused = sender.send(sender.begin(), "a.png", png(shade=200))
    assert refused.status_code == 429
    assert "limit" in refused.json()["sentence"]
    make_study()  # of another clinic: not counted
    settings.QUOTA_CLINIC_BYTES = 10**9
    assert sender.send(sender.begin(), "a.png", png(shade=200)).status_code == 201


def test_by_dicomweb(service: Program, settings: Any) -> None:
    settings.QUOTA_CLINIC_FILES_A_DAY = 1
    answer = stow(service.secret, body(dicom(shade=1), dicom(shade=2)))
    assert answer.status_code == 202
    assert [one[REASON]["Value"] for one in answer.json()[FAILED]["Value"]] == [[0xA701]]
    refused = stow(service.secret, body(dicom(shade=2), b"nonsense"))
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) == HALF_A_DAY
    assert Image.objects.count() == 1


def test_nothing_is_left_behind(submission: Submission, settings: Any, stored_files: Any) -> None:
    settings.QUOTA_CLINIC_FILES_A_DAY = 1
    take(submission, dicom(), key="1")
    before = stored_files()
    with pytest.raises(QuotaExceededError, match="limit"):
        take(submission, dicom(), key="2")
    assert stored_files() == before
    assert Analysis.objects.count() <= 1


def test_the_operators_own_command_has_no_limit(submission: Submission, settings: Any) -> None:
    settings.QUOTA_CLINIC_FILES_A_DAY = 1
    Submission.objects.update(source=Submission.Source.COMMAND)
    submission.refresh_from_db()
    for number in range(3):
        take(submission, png(shade=number), key=str(number))
    assert Upload.objects.count() == 3


def test_zero_is_no_limit(sender: Sender, settings: Any) -> None:
    for name in dir(settings):
        if name.startswith("QUOTA_"):
            setattr(settings, name, 0)
    begun = sender.begin(3)
    for number in range(3):
        assert sender.send(begun, "a.png", png(shade=number), key=f"k{number}").status_code == 201


def test_a_plain_form_keeps_what_fits(house: House, settings: Any) -> None:
    settings.QUOTA_PERSON_FILES_A_DAY = 1
    files = [SimpleUploadedFile(f"{number}.png", png(shade=number)) for number in range(3)]
    client = browser(house.uploader)
    response = client.post(f"/c/{house.clinic.slug}/upload/", {"files": files}, follow=True)
    assert "1 files today" in response.content.decode()
    assert Upload.objects.count() == 1
    assert Submission.objects.get().state == "finished"
