"""A new clinic is led through what is decided before its first study."""

from __future__ import annotations

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse

from tests.factories import make_study, png
from tests.house import House, browser, only_study
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.actors import Actor
from xrayportal.dicom.receive import receive
from xrayportal.studies.models import Study, Submission
from xrayportal.tokens.services import create_token


@pytest.fixture(autouse=True)
def new(house: House) -> None:
    """The clinic as ``create_clinic`` leaves it."""
    house.clinic.blind_first_decided = False
    house.clinic.save()


def address(house: House, name: str = "clinic-setup") -> str:
    return reverse(name, args=[house.clinic.slug])


def test_an_admin_without_studies_is_led_there(house: House) -> None:
    page = browser(house.admin).get(reverse("worklist", args=[house.clinic.slug])).content.decode()
    assert address(house) in page
    assert (
        address(house)
        not in browser(house.reader).get(reverse("worklist", args=[house.clinic.slug])).content.decode()
    )


@pytest.mark.parametrize(("choice", "blind"), [("yes", True), ("no", False)])
def test_blind_reading_is_decided_before_the_first_study(house: House, choice: str, blind: bool) -> None:
    client = browser(house.admin)
    page = client.get(address(house)).content.decode()
    assert "Save your decision above first." in page
    radios = re.findall(r'<input type="radio"[^>]*>', page)
    assert len(radios) == 2
    assert "checked" not in "".join(radios)  # neither is chosen for them
    assert client.post(address(house), {"time_zone": "berlin", "blind_first": ""}).status_code == 422
    client.post(address(house), {"time_zone": "berlin", "blind_first": choice})
    house.clinic.refresh_from_db()
    assert (house.clinic.time_zone, house.clinic.blind_first) == ("Europe/Berlin", blind)
    event = AuditEvent.objects.get(action=Action.CLINIC_CHANGED)
    assert event.detail == {"time_zone": "Europe/Berlin", "blind_first": blind}
    assert "Send a sample X-ray" in client.get(address(house)).content.decode()


def test_a_sample_study_comes_after_the_decision(house: House) -> None:
    client = browser(house.admin)
    client.post(address(house, "clinic-sample"))
    assert not Study.objects.exists()
    client.post(address(house), {"time_zone": "UTC", "blind_first": "no"})
    answer = client.post(address(house, "clinic-sample"))
    study = only_study()
    assert answer["Location"] == reverse("study", args=[house.clinic.slug, study.pk])
    assert study.analyses.count() == 1
    # From now on there is something that the decision would change.
    assert client.get(address(house))["Location"] == reverse("clinic-settings", args=[house.clinic.slug])


def test_nothing_is_taken_before_the_decision(house: House) -> None:
    sentence = "This clinic takes no X-rays yet: one of its admins has to decide about blind reading first."
    upload, submissions = (address(house, name) for name in ("upload", "submissions"))
    sender, admin = browser(house.uploader), browser(house.admin)
    page = sender.get(upload).content.decode()
    assert sentence in page
    assert "data-uploader" not in page
    assert address(house) in admin.get(upload).content.decode()
    answer = sender.post(submissions, {"expected_files": "1"})
    assert (answer.status_code, answer.json()["sentence"]) == (409, sentence)
    picture = SimpleUploadedFile("knee.png", png(), "image/png")
    assert sender.post(upload, {"files": [picture]})["Location"] == upload
    _token, secret = create_token(
        clinic=house.clinic,
        actor=Actor(house.admin),
        name="bridge",
        role="uploader",
        scopes=["submissions:write"],
        days=1,
    )
    asked = browser(None).post(
        reverse("api:open_submission"),
        {"expected_files": 1},
        content_type="application/json",
        headers={"Authorization": f"Bearer {secret}"},
    )
    assert (asked.status_code, asked.json()["detail"]) == (409, sentence)
    with pytest.raises(OSError, match="This clinic takes no X-rays yet"):
        receive(clinic=house.clinic, sender="CT", queue="bulk", actor=Actor(name="CT"), data=b"DICM")
    with pytest.raises(CommandError, match="This clinic takes no X-rays yet"):
        call_command("submit", __file__, clinic=house.clinic.slug)
    assert not Submission.objects.exists()
    admin.post(address(house), {"time_zone": "UTC", "blind_first": "no"})
    assert "data-uploader" in sender.get(upload).content.decode()
    assert sender.post(submissions, {"expected_files": "1"}).status_code == 201


def test_only_admins_set_up(house: House) -> None:
    for person in (house.uploader, house.reader, house.stranger):
        assert browser(person).get(address(house)).status_code == 404


def test_a_clinic_at_work_has_settings(house: House) -> None:
    make_study(house.clinic)
    assert browser(house.admin).get(address(house)).status_code == 302
