"""What a sender stated is corrected later, and what was sent by mistake is taken back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from tests.factories import make_analysis, make_study, make_submission
from tests.house import House, browser
from tests.opinions import make_access, say
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import User
from xrayportal.studies.models import Study


@pytest.fixture
def study(house: House) -> Study:
    study = make_study(submission=make_submission(house.clinic, house.uploader), patient_reference="NH-1")
    make_analysis(study)
    return study


def correct(person: User, study: Study, reference: str, body_part: str = "") -> Any:
    address = reverse("study-correct", args=[study.clinic.slug, study.pk])
    fields = {"patient_reference": reference, "stated_body_part": body_part}
    return browser(person).post(address, fields, follow=True)


def test_a_reference_is_corrected_and_audited_without_its_value(house: House, study: Study) -> None:
    answer = correct(house.uploader, study, " NH-\u200b2 ")
    assert "NH-2" in answer.content.decode()
    study.refresh_from_db()
    assert study.patient_reference == "NH-2"
    event = AuditEvent.objects.get(action=Action.STUDY_CORRECTED)
    assert (event.study_id, event.actor_id_text) == (study.pk, str(house.uploader.pk))
    assert event.detail == {"fields": ["patient_reference"]}
    assert study.analyses.count() == 1


def test_another_body_part_is_analysed_again(house: House, study: Study) -> None:
    answer = correct(house.reader, study, "NH-1", "hand")
    assert "analysed again" in answer.content.decode()
    newest = study.analyses.get(state=Analysis.State.QUEUED)
    assert newest.forced_body_part == "hand"
    assert AuditEvent.objects.get(action=Action.STUDY_CORRECTED).detail == {"fields": ["stated_body_part"]}


def test_the_same_again_changes_nothing(house: House, study: Study) -> None:
    correct(house.uploader, study, "NH-1")
    assert not AuditEvent.objects.filter(action=Action.STUDY_CORRECTED).exists()


@pytest.mark.parametrize(
    ("reference", "body_part", "sentence"),
    [("x" * 65, "", "at most 64 characters"), ("NH-1", "skull", "not one of the available choices")],
)
def test_a_wrong_value_is_a_sentence(
    house: House, study: Study, reference: str, body_part: str, sentence: str
) -> None:
    assert sentence in correct(house.uploader, study, reference, body_part).content.decode()
    assert not AuditEvent.objects.filter(action=Action.STUDY_CORRECTED).exists()


def test_nobody_corrects_what_they_may_not_see(house: House, study: Study) -> None:
    for person in (house.colleague, house.stranger):
        assert correct(person, study, "NH-9").status_code == 404
    study.refresh_from_db()
    assert study.patient_reference == "NH-1"


def take_back(person: User, study: Study) -> int:
    address = reverse("study-delete", args=[study.clinic.slug, study.pk])
    return int(browser(person).post(address, {"reason": "mistake"}).status_code)


def offers_deletion(person: User, study: Study) -> bool:
    page = browser(person).get(reverse("study", args=[study.clinic.slug, study.pk]))
    return 'data-opens="delete-sheet"' in page.content.decode()


def test_a_sender_takes_back_what_nobody_has_read(house: House, study: Study) -> None:
    assert offers_deletion(house.uploader, study)
    assert take_back(house.uploader, study) == 302
    assert not Study.objects.filter(pk=study.pk).exists()
    event = AuditEvent.objects.get(action=Action.STUDY_DELETED)
    assert (event.actor_id_text, event.detail["reason"]) == (str(house.uploader.pk), "mistake")


def _opened(house: House, study: Study) -> None:
    browser(house.reader).get(reverse("study", args=[study.clinic.slug, study.pk]))


def _reviewed(house: House, study: Study) -> None:
    say(make_access(house.clinic), study, "normal")


def _old(house: House, study: Study) -> None:
    Study.objects.filter(pk=study.pk).update(created_at=study.created_at - timedelta(minutes=61))


@pytest.mark.parametrize("happened", [_opened, _reviewed, _old])
def test_too_late_to_take_back(house: House, study: Study, happened: Any) -> None:
    happened(house, study)
    assert not offers_deletion(house.uploader, study)
    assert take_back(house.uploader, study) == 404
    assert take_back(house.admin, study) == 302


def test_only_the_sender_takes_back(house: House, study: Study) -> None:
    for person in (house.colleague, house.reader, house.stranger):
        assert take_back(person, study) == 404
    assert Study.objects.filter(pk=study.pk).exists()
