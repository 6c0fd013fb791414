"""The study page and its fragments: every state, polling, blind reading, buttons."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from tests.counting import counted
from tests.factories import make_analysis, make_image, make_study, make_submission
from tests.house import House, browser
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import User
from xrayportal.reviews.models import Review
from xrayportal.studies.models import Study


@pytest.fixture
def study(house: House) -> Study:
    return make_study(submission=make_submission(house.clinic, house.uploader), patient_reference="NH-1")


def get(name: str, study: Study, person: User, query: str = "") -> Any:
    return browser(person).get(reverse(name, args=[study.clinic.slug, study.pk]) + query)


def read(study: Study, person: User, query: str = "") -> str:
    response = get("study", study, person, query)
    assert response.status_code == 200
    return str(response.content.decode())


def poll_address(page: str) -> str:
    (address,) = re.findall(r'id="study-result"[^>]* hx-get="([^"]+)"', page)
    return str(address).replace("&amp;", "&")


def polls(page: str) -> bool:
    (tag,) = re.findall(r'<section class="reading" id="study-result"[^>]*>', page)
    return "data-poll" in tag and "every 1s" in tag


def test_result_in_words(house: House, study: Study) -> None:
    make_analysis(study, body_parts={"wrist": 0.868, "hand": 0.11, "knee": 0.022}, thresholds_by_clinic=True)
    page = read(study, house.uploader)
    assert "Fracture suspected" in page
    assert '<span class="figure" aria-hidden="true">0.87</span>' in page
    assert "Uncertain from 0.20" in page
    assert "Fracture suspected from 0.70" in page
    assert "Clinic setting" in page
    assert "<strong>Wrist</strong> <span" in page
    assert "87 %" in page
    assert "Hand 11 %" in page
    assert escape("Strongest evidence here.") in page
    assert not polls(page)


def test_weak_heatmap_is_said(house: House, study: Study) -> None:
    analysis = make_analysis(study)
    analysis.findings.update(trust=0.1)
    assert "Only a hint here." in read(study, house.reader)


def test_unreadable_view_makes_it_incomplete(house: House) -> None:
    study = make_study(house.clinic, views=3)
    broken = study.images.last()
    assert broken is not None
    sentence = "Could not read view_2.png: it ends too early."
    analysis = make_analysis(
        study, unreadable=[{"image": str(broken.pk), "kind": "truncated", "sentence": sentence}]
    )
    analysis.findings.filter(image=broken).delete()
    assert "Incomplete: 1 of 3 views could not be analysed." in read(study, house.reader)
    assert sentence in read(study, house.reader, "?view=3")


@pytest.mark.parametrize("query", ["?view=0", "?view=99", "?view=%C2%B2", "?view=", "?view=999999999999"])
def test_nonsense_view_shows_one(house: House, study: Study, query: str) -> None:
    make_analysis(study)
    assert 'aria-current="true"' in read(study, house.reader, query)


def test_waiting_study_polls_and_is_told_its_place(house: House, study: Study) -> None:
    make_analysis(study, "queued")
    page = read(study, house.uploader)
    assert "Waiting, 1st in the queue" in page
    assert polls(page)


def test_poll_answers_204_until_something_changes(house: House, study: Study) -> None:
    analysis = make_analysis(study, "running")
    person = browser(house.uploader)
    address = poll_address(read(study, house.uploader))
    with counted() as queries:
        idle = person.get(address)
    assert (idle.status_code, idle.content) == (204, b"")
    # The session with the person and their access; the version.
    assert len(queries) == 2
    analysis.delete()
    make_analysis(study)
    changed = person.get(address)
    assert changed.status_code == 200
    fragment = changed.content.decode()
    assert "Fracture suspected" in fragment
    assert not polls(fragment)
    assert changed.headers["HX-Trigger"] == '{"result-changed": {}}'
    again = person.get(poll_address(fragment))
    assert again.status_code == 204


def test_the_history_is_not_asked_for_when_only_the_line_moves_on(house: House, study: Study) -> None:
    analysis = make_analysis(study, "queued")
    address = poll_address(read(study, house.uploader))
    person = browser(house.uploader)
    earlier = re.sub(r"~\d+", "~1", address)
    assert earlier != address
    moved_on = person.get(earlier)
    assert (moved_on.status_code, moved_on.headers.get("HX-Trigger")) == (200, None)
    Analysis.objects.filter(pk=analysis.pk).update(state="cancelled", finished_at=timezone.now())
    assert person.get(earlier).headers["HX-Trigger"] == '{"result-changed": {}}'


def test_failure_says_why_and_offers_a_retry(house: House, study: Study) -> None:
    make_analysis(study, "failed", error_sentence="The worker process died 3 times on this file.")
    page = read(study, house.uploader)
    assert "The worker process died 3 times on this file." in page
    assert "Try again" in page
    assert not polls(page)
    address = reverse("analysis-request", args=[study.clinic.slug, study.pk])
    assert browser(house.uploader).post(address).status_code == 302
    assert polls(read(study, house.uploader))
    assert study.analyses.filter(state="queued").count() == 1


def test_cancel_and_ask_again(house: House, study: Study) -> None:
    analysis = make_analysis(study, "queued")
    address = reverse("analysis-cancel", args=[study.clinic.slug, analysis.pk])
    assert browser(house.stranger).post(address).status_code == 404
    assert browser(house.uploader).get(address).status_code == 405
    assert browser(house.uploader).post(address).status_code == 302
    page = read(study, house.uploader)
    assert "Cancelled" in page
    assert not polls(page)
    analysis.refresh_from_db()
    assert analysis.state == Analysis.State.CANCELLED


def test_stated_part_that_nobody_knows_is_refused(house: House, study: Study) -> None:
    address = reverse("analysis-request", args=[study.clinic.slug, study.pk])
    response = browser(house.reader).post(address, {"forced_body_part": "tail"}, follow=True)
    assert "does not know the body part" in response.content.decode()
    assert not study.analyses.exists()


def test_open_study_is_not_analysed_early(house: House) -> None:
    study = make_study(house.clinic, state=Study.State.OPEN)
    address = reverse("analysis-request", args=[study.clinic.slug, study.pk])
    response = browser(house.reader).post(address, follow=True)
    assert "still receiving images" in response.content.decode()
    assert not study.analyses.exists()


def test_older_result_stays_while_a_newer_is_made(house: House, study: Study) -> None:
    make_analysis(study)
    make_analysis(study, "queued")
    page = read(study, house.reader)
    assert polls(page)
    assert "The result below is from an earlier analysis." in page
    assert "Fracture suspected" in page


def test_viewer_on_the_screen_is_not_sent_again(house: House, study: Study) -> None:
    make_analysis(study)
    make_analysis(study, "queued")
    page = read(study, house.reader)
    address = poll_address(page)
    assert 'class="viewer"' in page
    study.analyses.filter(state="queued").update(cancel_requested=True)
    fragment = browser(house.reader).get(address).content.decode()
    assert "Cancelling" in fragment
    assert 'class="viewer"' not in fragment
    make_analysis(study)
    assert 'class="viewer"' in browser(house.reader).get(address).content.decode()


def test_a_view_just_below_a_threshold_does_not_print_as_the_threshold(house: House, study: Study) -> None:
    make_image(study)
    analysis = make_analysis(study, verdict="uncertain", probability=0.3)
    low, high = analysis.findings.order_by("pk")
    analysis.findings.filter(pk=low.pk).update(probability=0.196, verdict="normal")
    analysis.findings.filter(pk=high.pk).update(probability=0.3, verdict="uncertain")
    page = read(study, house.reader)
    assert set(re.findall(r'class="view-figure figures">([^<]+)<', page)) == {"0.196", "0.30"}


def test_history_lists_every_analysis_and_who_did_what(house: House, study: Study) -> None:
    make_analysis(study, "failed")
    make_analysis(study, requested_by=house.reader)
    read(study, house.reader)
    history = get("study-history", study, house.reader).content.decode()
    assert "Could not read the file: it ends too early." in history
    assert str(house.reader) in history
    assert "viewed a study" in history
    assert "viewed a study" not in get("study-history", study, house.uploader).content.decode()


def test_a_look_is_audited_with_what_it_told(house: House, study: Study) -> None:
    def looks() -> list[bool]:
        events = AuditEvent.objects.filter(action=Action.STUDY_VIEWED, study_id=study.pk).order_by("id")
        return [event.detail["revealed"] for event in events]

    running = make_analysis(study, "running")
    address = poll_address(read(study, house.reader))
    browser(house.reader).get(address)
    assert looks() == [False]  # a poll is no look
    running.delete()
    make_analysis(study)
    browser(house.reader).get(address)
    assert looks() == [False, True]  # but the one that brought the prediction is


def test_blind_reader_learns_nothing_before_their_opinion(house: House, study: Study) -> None:
    house.clinic.blind_first = True
    house.clinic.save()
    make_analysis(study, body_part="knee", body_parts={"knee": 0.9, "hand": 0.1})
    page = read(study, house.reader)
    address = poll_address(page)
    before, after = page.split('id="review-of-')[0], page.split('id="verdict-card"')[1]
    reading = before.split('id="study-result"')[1] + after.split('id="correct-sheet"')[0]
    history = get("study-history", study, house.reader).content.decode()
    for secret in ("Fracture suspected", "0.87", "Knee", "overlay", "data-peak", "Strongest evidence"):
        assert secret not in reading
        assert secret not in history
    assert browser(house.reader).get(address).status_code == 204
    Review.objects.create(
        clinic=house.clinic, study=study, reader=house.reader, kind="first", was_blind=True, verdict="normal"
    )
    revealed = browser(house.reader).get(address).content.decode()
    assert "Fracture suspected" in revealed
    assert "overlay" in revealed


def test_cost_does_not_grow_with_views(house: House) -> None:
    one, many = make_study(house.clinic, views=1), make_study(house.clinic, views=6)
    for study in (one, many):
        make_analysis(study, "failed")
        make_analysis(study)
    person = browser(house.reader)
    for study in (one, many):  # a visit's first look costs more, and so does the clinic's first audit event
        read(study, house.reader)
    with counted() as few:
        person.get(reverse("study", args=[house.clinic.slug, one.pk]))
    with counted() as more:
        person.get(reverse("study", args=[house.clinic.slug, many.pk]))
    assert len(few) == len(more)
