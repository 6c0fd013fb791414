"""Reading sessions without a browser: order, neighbours, what a signature answers, undo, and who may what."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_analysis, make_study
from tests.house import House, browser
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import User
from xrayportal.reviews.models import Consensus, Review
from xrayportal.reviews.services import WITHDRAWN_WITHIN
from xrayportal.studies.models import Study
from xrayportal.worklist.models import ReadingSession

HTMX = {"HX-Request": "true"}


@pytest.fixture
def studies(house: House) -> list[Study]:
    studies = [make_study(house.clinic, patient_reference=f"NH-{number}") for number in range(4)]
    for study in studies:
        make_analysis(study)
    return studies


def start(house: House, person: User, **fields: Any) -> Any:
    return browser(person).post(
        reverse("reading-start", args=[house.clinic.slug]), {"query": "list=all&sort=oldest", **fields}
    )


@pytest.mark.parametrize("number", ["0", "2", "9" * 30, "x"])
def test_a_page_that_there_is_not_starts_with_the_study_alone(
    house: House, studies: list[Study], number: str
) -> None:
    gone = make_study(house.clinic)
    query = f"list=all&sort=oldest&page={number}&body_part=knee"
    answer = start(house, house.reader, query=query, study=str(gone.pk))
    assert answer.status_code == 302
    assert ReadingSession.objects.get().studies == [gone.pk]


def page(house: House, study: Study, session: ReadingSession, person: User) -> str:
    address = reverse("study", args=[house.clinic.slug, study.pk]) + f"?reading={session.pk}"
    return str(browser(person).get(address).content.decode())


def sign(house: House, study: Study, session: ReadingSession, **fields: str) -> Any:
    address = reverse("review-sign", args=[house.clinic.slug, study.pk])
    values = {"verdict": "normal", "reading": str(session.pk), **fields}
    return browser(house.reader).post(address, values, headers=HTMX)


def begun(house: House, studies: list[Study], person: User | None = None) -> ReadingSession:
    assert start(house, person or house.reader).status_code == 302
    return ReadingSession.objects.get()


def test_starts_with_the_first_study_or_the_row_that_was_opened(house: House, studies: list[Study]) -> None:
    for first, fields in ((studies[0], {}), (studies[2], {"study": str(studies[2].pk)})):
        answer = start(house, house.reader, **fields)
        session = ReadingSession.objects.latest("started_at")
        assert (
            answer.headers["Location"] == f"/c/{house.clinic.slug}/studies/{first.pk}/?reading={session.pk}"
        )
        assert session.studies == [study.pk for study in studies]


def test_a_row_that_left_the_list_is_opened_alone(house: House, studies: list[Study]) -> None:
    start(house, house.reader, query="list=disagreements", study=str(studies[1].pk))
    assert ReadingSession.objects.get().studies == [studies[1].pk]


def test_an_empty_list_says_so(house: House) -> None:
    answer = start(house, house.reader)
    assert answer.headers["Location"] == reverse("worklist", args=[house.clinic.slug])
    assert not ReadingSession.objects.exists()


def test_the_page_knows_its_place_and_its_neighbours(house: House, studies: list[Study]) -> None:
    session = begun(house, studies)
    html = page(house, studies[1], session, house.reader)
    assert "2 of 4" in html
    assert f'id="reading-previous" rel="prev" href="/c/{house.clinic.slug}/studies/{studies[0].pk}/' in html
    assert f'id="reading-next" rel="next" href="/c/{house.clinic.slug}/studies/{studies[2].pk}/' in html
    studies[2].delete()
    assert f"/studies/{studies[3].pk}/?reading=" in page(house, studies[1], session, house.reader)
    assert reverse("reading", args=[house.clinic.slug, session.pk]) in page(
        house, studies[3], session, house.reader
    )


def test_pictures_of_the_next_two_are_named_with_maps_where_they_may_be_known(
    house: House, studies: list[Study]
) -> None:
    session = begun(house, studies)

    def ahead() -> list[dict[str, Any]]:
        (text,) = re.findall(
            r'class="list-place" data-ahead="([^"]*)"', page(house, studies[0], session, house.reader)
        )
        coming: list[dict[str, Any]] = json.loads(text.replace("&quot;", '"'))
        return coming

    assert [("map" in one, "display" in one) for one in ahead()] == [(True, True), (True, True)]
    house.clinic.blind_first = True
    house.clinic.save()
    assert [("map" in one, "display" in one) for one in ahead()] == [(False, True), (False, True)]


def test_fetching_ahead_is_no_look(house: House, studies: list[Study]) -> None:
    session = begun(house, studies)
    page(house, studies[0], session, house.reader)
    looks = AuditEvent.objects.filter(action=Action.STUDY_VIEWED).values_list("study_id", flat=True)
    assert set(looks) == {studies[0].pk}


def test_a_signature_answers_with_the_next_unsigned_study(house: House, studies: list[Study]) -> None:
    session = begun(house, studies)
    answer = sign(house, studies[1], session)
    assert answer.headers["HX-Push-Url"].endswith(f"/studies/{studies[2].pk}/?reading={session.pk}")
    assert '?next=/"' in answer.content.decode(), "signing in leads to no address that takes POST only"
    assert (answer.headers["HX-Retarget"], answer.headers["HX-Reswap"]) == ("#page", "morph:outerHTML")
    html = answer.content.decode()
    assert "<title>NH-2" in html
    assert "<html" not in html
    for study in (studies[2], studies[3]):
        answer = sign(house, study, session)
    assert f"/studies/{studies[0].pk}/" in answer.headers["HX-Push-Url"]  # the one that was skipped
    answer = sign(house, studies[0], session)
    assert answer.headers["HX-Push-Url"] == reverse("reading", args=[house.clinic.slug, session.pk])
    assert "End of the list" in answer.content.decode()


def test_a_refused_signature_stays_and_keeps_the_session(house: House, studies: list[Study]) -> None:
    session = begun(house, studies)
    answer = sign(house, studies[0], session, verdict="")
    assert answer.status_code == 422
    assert f'name="reading" value="{session.pk}"' in answer.content.decode()


def test_undo_takes_the_signature_back(house: House, studies: list[Study]) -> None:
    session = begun(house, studies)
    sign(house, studies[0], session, comment="A line.")
    review = Review.objects.get()
    address = reverse("review-withdraw", args=[house.clinic.slug, studies[0].pk])
    values = {"review": str(review.pk), "reading": str(session.pk)}
    assert browser(house.admin).post(address, values).status_code == 404
    answer = browser(house.reader).post(address, values, headers=HTMX)
    assert answer.headers["HX-Push-Url"].endswith(f"/studies/{studies[0].pk}/?reading={session.pk}")
    own = Review.objects.get(is_current=True)
    assert (own.supersedes, own.is_signed, own.verdict, own.comment) == (review, False, "normal", "A line.")
    assert Consensus.objects.get(study=studies[0]).state == "open"
    assert AuditEvent.objects.filter(action=Action.REVIEW_WITHDRAWN, study_id=studies[0].pk).count() == 1
    again = browser(house.reader).post(address, values, follow=True).content.decode()
    assert "no longer your newest one" in again
    assert Review.objects.count() == 2


def test_undo_of_a_change_brings_the_signed_review_back(house: House, studies: list[Study]) -> None:
    session = begun(house, studies)
    sign(house, studies[0], session)
    first = Review.objects.get()
    sign(house, studies[0], session, verdict="abnormal", supersedes=str(first.pk))
    changed = Review.objects.get(is_current=True)
    address = reverse("review-withdraw", args=[house.clinic.slug, studies[0].pk])
    browser(house.reader).post(address, {"review": str(changed.pk)})
    own = Review.objects.get(is_current=True)
    assert (own.verdict, own.is_signed) == ("normal", True)
    assert Consensus.objects.get(study=studies[0]).verdict == "normal"


def test_undo_ends_after_some_minutes(
    house: House, studies: list[Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = begun(house, studies)
    sign(house, studies[0], session)
    review = Review.objects.get()
    later = timezone.now() + WITHDRAWN_WITHIN + timedelta(seconds=1)
    monkeypatch.setattr("xrayportal.reviews.services.timezone.now", lambda: later)
    address = reverse("review-withdraw", args=[house.clinic.slug, studies[0].pk])
    answer = browser(house.reader).post(address, {"review": str(review.pk)}, follow=True)
    assert "too late" in answer.content.decode()
    assert Review.objects.get(is_current=True).is_signed


def test_the_summary_counts(house: House, studies: list[Study]) -> None:
    session = begun(house, studies)
    sign(house, studies[0], session)
    save = reverse("review-save", args=[house.clinic.slug, studies[1].pk])
    browser(house.reader).post(save, {"verdict": "uncertain"})
    html = (
        browser(house.reader).get(reverse("reading", args=[house.clinic.slug, session.pk])).content.decode()
    )
    assert re.findall(r'<dd class="figures">(\d+)</dd>', html) == ["1", "1", "2"]
    assert f"/studies/{studies[2].pk}/?reading={session.pk}" in html


def test_a_session_is_its_persons_own(house: House, studies: list[Study]) -> None:
    session = begun(house, studies)
    address = reverse("reading", args=[house.clinic.slug, session.pk])
    for person in (house.admin, house.stranger, house.uploader):
        assert browser(person).get(address).status_code == 404
    assert "2 of 4" not in page(house, studies[1], session, house.admin)
    assert Client().get(address).status_code == 302
    for nonsense in ("nonsense", "\0", str(uuid.uuid4())):
        address = reverse("study", args=[house.clinic.slug, studies[0].pk])
        html = browser(house.reader).get(address, {"reading": nonsense})
        assert html.status_code == 200


def test_old_sessions_go(house: House, studies: list[Study]) -> None:
    for _ in range(12):
        start(house, house.reader)
    assert ReadingSession.objects.count() == 10
