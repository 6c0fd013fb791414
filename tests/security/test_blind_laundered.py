"""Whoever got a result by any way, however long ago, is not blind: a newer analysis changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_analysis, make_clinic, make_study, make_user
from tests.house import body, browser
from tests.opinions import say
from xrayportal.access import ClinicAccess, access_of
from xrayportal.clinics.models import Clinic, Membership, Role, User
from xrayportal.studies.models import Study
from xrayportal.tokens.models import ApiToken, Scope
from xrayportal.tokens.services import create_token, revoke_token

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic() -> Clinic:
    return make_clinic(blind_first=True)


@pytest.fixture
def study(clinic: Clinic) -> Study:
    """Analysed an hour ago."""
    study = make_study(clinic)
    make_analysis(study, finished_at=timezone.now() - timedelta(hours=1))
    return study


@pytest.fixture
def person(clinic: Clinic) -> User:
    """An admin who reads, too."""
    return make_user(clinic, Role.ADMIN, Role.READER)


def access(person: User) -> ClinicAccess:
    return access_of(person, Membership.objects.filter(user=person).select_related("clinic"))


def set_blind(client: Client, clinic: Clinic, *, on: bool) -> None:
    clinic.refresh_from_db()
    fields = {"name": clinic.name, "time_zone": clinic.time_zone} | ({"blind_first": "on"} if on else {})
    saved = client.post(reverse("clinic-settings", args=[clinic.slug]), fields)
    assert saved.status_code == 302
    clinic.refresh_from_db()
    assert clinic.blind_first is on


def get(client: Client, study: Study, way: str) -> bytes:
    """Something that holds the prediction, taken while blind reading is off."""
    clinic, finding = study.clinic.slug, study.analyses.earliest("finished_at").findings.get().pk
    match way:
        case "pdf":
            return body(client.get(reverse("report", args=[clinic, study.pk])))
        case "page":
            return body(client.get(reverse("study", args=[clinic, study.pk])))
        case "map" | "overlay":
            return body(client.get(reverse("finding-file", args=[clinic, finding, way])))
        case "csv":
            return body(client.post(reverse("submission-results", args=[clinic, study.submission_id])))
        case "zip":
            return body(client.post(reverse("submission-pictures", args=[clinic, study.submission_id])))
        case "history":
            return body(client.post(reverse("history-export", args=[clinic])))
        case "list":
            return body(client.get(reverse("worklist", args=[clinic])))
    raise AssertionError(way)


@pytest.mark.parametrize("way", ["pdf", "page", "map", "overlay", "csv", "zip", "history", "list"])
def test_off_take_on_again_and_a_new_analysis(clinic: Clinic, study: Study, person: User, way: str) -> None:
    client = browser(person)
    set_blind(client, clinic, on=False)
    assert get(client, study, way)
    set_blind(client, clinic, on=True)
    make_analysis(study)  # newer than the moment when blind reading was turned on
    new = make_study(clinic)
    make_analysis(new)

    assert not say(access(person), study).was_blind
    assert say(access(person), new).was_blind


@pytest.mark.parametrize("way", ["pdf", "page", "map"])
def test_what_was_taken_in_another_role_counts(clinic: Clinic, study: Study, person: User, way: str) -> None:
    """Also where no event of the role is left to tell: what was shown is known by itself."""
    Membership.objects.filter(user=person, role=Role.READER).delete()
    assert get(browser(person), study, way)
    Membership.objects.create(clinic=clinic, user=person, role=Role.READER)
    make_analysis(study)
    person.__dict__.pop("all_memberships", None)

    assert not say(access(person), study).was_blind


def test_a_role_added_by_a_command_keeps_what_was_held(clinic: Clinic, study: Study) -> None:
    from xrayportal.clinics.actors import COMMAND_LINE
    from xrayportal.clinics.services import add_member

    person = make_user(clinic, Role.ADMIN)
    add_member(clinic=clinic, user=person, role=Role.READER, actor=COMMAND_LINE)
    make_analysis(study)
    assert not say(access(person), study).was_blind


def test_a_superusers_look_is_not_forgotten_with_the_rank(clinic: Clinic, study: Study) -> None:
    person = User.objects.create_superuser("root@example.org", "correct horse battery")
    client = browser(person)
    client.post(reverse("content-access", args=[clinic.slug]), {"reason": "a ticket about the worklist"})
    assert client.get(reverse("worklist", args=[clinic.slug])).status_code == 200
    person.is_superuser = False
    person.save()
    Membership.objects.create(clinic=clinic, user=person, role=Role.READER)
    make_analysis(study)
    assert not say(access(person), study).was_blind


@pytest.mark.parametrize(
    ("role", "scopes", "blind"),
    [
        (Role.ADMIN, [Scope.STUDIES_READ], False),
        (Role.UPLOADER, [Scope.STUDIES_READ], False),
        (Role.READER, [Scope.STUDIES_READ], True),
        (Role.ADMIN, [Scope.SUBMISSIONS_WRITE], True),
        ("", [Scope.STUDIES_READ], True),
    ],
)
def test_a_token_that_sees_predictions_sees_them_for_its_maker(
    clinic: Clinic, study: Study, person: User, role: str, scopes: list[str], blind: bool
) -> None:
    create_token(clinic=clinic, actor=access(person).actor, name="mine", role=role, scopes=scopes, days=1)
    assert say(access(person), study).was_blind is blind


def test_a_token_that_ended_before_the_result_told_nothing(clinic: Clinic, person: User) -> None:
    facts: dict[str, Any] = {"name": "mine", "role": Role.ADMIN, "scopes": [Scope.STUDIES_READ], "days": 1}
    token, _secret = create_token(clinic=clinic, actor=access(person).actor, **facts)
    revoke_token(token=token, actor=access(person).actor)
    assert ApiToken.objects.count() == 1
    study = make_study(clinic)
    make_analysis(study)
    assert say(access(person), study).was_blind
