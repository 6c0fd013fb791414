"""Whatever shows a study leaves an event of the look; a visit leaves one, however much it loads."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.counting import counted
from tests.factories import make_analysis, make_clinic, make_study, make_submission, make_user
from tests.house import House, body, browser
from tests.opinions import make_access
from tests.threads import at_once
from xrayportal.audit.models import Action, AuditEvent, Visit
from xrayportal.audit.services import verify
from xrayportal.audit.visits import VISIT, forget_visits
from xrayportal.clinics.models import Role
from xrayportal.studies.models import Study


@pytest.fixture
def study(house: House) -> Study:
    study = make_study(submission=make_submission(house.clinic, house.uploader))
    make_analysis(study)
    return study


def address(study: Study, way: str) -> str:
    clinic = study.clinic.slug
    if way in ("study", "study-result", "study-history", "review"):
        return reverse(way, args=[clinic, study.pk])
    assert study.current is not None
    return reverse("finding-file", args=[clinic, study.current.findings.get().pk, way])


def looks(study: Study) -> list[tuple[str, bool]]:
    events = AuditEvent.objects.filter(action=Action.STUDY_VIEWED, study_id=study.pk).order_by("number")
    return [(event.actor_label, event.detail["revealed"]) for event in events]


WAYS = {
    "study": True,
    "study-result": True,
    "study-history": True,
    "review": True,
    "display": False,
    "overlay": True,
    "map": True,
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_see_a_study_is_a_look(house: House, study: Study, way: str) -> None:
    body(browser(house.reader).get(address(study, way)))
    assert looks(study) == [(house.reader.email, WAYS[way])]
    assert verify(clinic=house.clinic).is_whole


@pytest.mark.parametrize("way", ["study", "study-history", "review", "display"])
def test_a_blind_readers_look_is_one_without_the_prediction(house: House, study: Study, way: str) -> None:
    house.clinic.blind_first = True
    house.clinic.save()
    body(browser(house.reader).get(address(study, way)))
    assert looks(study) == [(house.reader.email, False)]


def test_a_visit_is_one_event(house: House, study: Study) -> None:
    client = browser(house.reader)
    for _ in range(3):
        for way in WAYS:
            body(client.get(address(study, way)))
    assert looks(study) == [(house.reader.email, True)]


def test_the_first_look_at_the_prediction_is_an_event_of_its_own(house: House, study: Study) -> None:
    client = browser(house.reader)
    for way in ("display", "display", "map", "display", "overlay"):
        body(client.get(address(study, way)))
    assert looks(study) == [(house.reader.email, False), (house.reader.email, True)]


def test_people_addresses_and_studies_are_told_apart(house: House, study: Study) -> None:
    other = make_study(house.clinic)
    make_analysis(other)
    for person in (house.reader, house.admin):
        for one in (study, other):
            body(browser(person).get(address(one, "study")))
    client = browser(house.reader)
    body(client.get(address(study, "study"), REMOTE_ADDR="192.0.2.7"))
    assert looks(study) == [(who.email, True) for who in (house.reader, house.admin, house.reader)]
    assert len(looks(other)) == 2


def test_another_visit_begins_later(house: House, study: Study) -> None:
    client = browser(house.reader)
    body(client.get(address(study, "study")))
    Visit.objects.update(at=timezone.now() - VISIT - timedelta(seconds=1))
    body(client.get(address(study, "study")))
    body(client.get(address(study, "study")))
    assert len(looks(study)) == 2
    assert forget_visits() == 0
    Visit.objects.update(at=timezone.now() - VISIT - timedelta(seconds=1))
    assert forget_visits() == 1


def test_a_list_with_its_thumbnails_is_no_look_at_each(house: House, study: Study) -> None:
    client = browser(house.reader)
    body(client.get(reverse("worklist", args=[house.clinic.slug])))
    body(client.get(address(study, "thumbnail")))
    assert looks(study) == []


def test_who_is_refused_did_not_look(house: House, study: Study) -> None:
    for way in WAYS:
        assert browser(house.stranger).get(address(study, way)).status_code == 404
    assert looks(study) == []


def test_within_a_visit_a_picture_writes_nothing(house: House, study: Study) -> None:
    client = browser(house.reader)
    body(client.get(address(study, "map")))
    with counted() as queries:
        body(client.get(address(study, "display")))
    assert not [query for query in queries if not query["sql"].lstrip().startswith("SELECT")]


@pytest.mark.django_db(transaction=True)
def test_pictures_that_load_at_once_are_one_look() -> None:
    clinic = make_clinic()
    study = make_study(clinic)
    make_analysis(study)
    access = make_access(clinic, Role.READER)
    make_user(clinic, Role.READER)

    def load(way: str) -> int:
        client = Client()
        client.force_login(access.user)
        return len(body(client.get(address(study, way))))

    assert all(at_once(load, ["map", "overlay"] * 4))
    assert looks(study) == [(access.user.email, True)]
    assert verify(clinic=clinic).is_whole
