"""The submission pages: progress, the outcome of every file, polling, buttons."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.urls import reverse

from tests.counting import counted
from tests.factories import make_analysis, make_image, make_study, make_submission
from tests.house import House, browser
from xrayportal.clinics.models import User
from xrayportal.studies.models import Submission, Upload


@pytest.fixture
def submission(house: House) -> Submission:
    return make_submission(house.clinic, house.uploader, state="finished", expected_files=3)


def get(name: str, submission: Submission, person: User, query: str = "") -> Any:
    return browser(person).get(reverse(name, args=[submission.clinic.slug, submission.pk]) + query)


def read(submission: Submission, person: User) -> str:
    response = get("submission", submission, person)
    assert response.status_code == 200
    return str(response.content.decode())


def reject(submission: Submission, name: str, sentence: str) -> None:
    Upload.objects.create(
        submission=submission,
        key=name,
        filename=name,
        outcome="rejected",
        sentence=sentence,
        kind="truncated",
    )


def poll_address(page: str) -> str:
    (address,) = re.findall(r'id="progress"[^>]* hx-get="([^"]+)"', page)
    return str(address).replace("&amp;", "&")


def test_fate_of_every_file(house: House, submission: Submission) -> None:
    study = make_study(submission=submission)
    make_analysis(study)
    sentence = "Could not read knee_02.dcm: the file ends before its pixels. Export it again from the source."
    reject(submission, "knee_02.dcm", sentence)
    earlier = make_study(house.clinic)
    make_analysis(earlier, verdict="normal", probability=0.05)
    Upload.objects.create(
        submission=submission, key="d", filename="again.png", outcome="duplicate", image=earlier.images.get()
    )
    page = read(submission, house.uploader)
    assert sentence in page
    assert "Already here: this links to the earlier study." in page
    assert reverse("study", args=[house.clinic.slug, earlier.pk]) in page
    assert "1 of 1 studies done" in page
    assert "Fracture suspected" in page
    assert 'id="progress"' in page
    assert "data-poll" not in page
    # Trouble comes first.
    assert page.index("knee_02.dcm") < page.index("again.png")


def test_poll_answers_204_until_something_changes(house: House, submission: Submission) -> None:
    study = make_study(submission=submission)
    analysis = make_analysis(study, "queued")
    person = browser(house.uploader)
    address = poll_address(read(submission, house.uploader))
    with counted() as queries:
        idle = person.get(address)
    assert (idle.status_code, idle.content) == (204, b"")
    # The session with the person and their access; the version.
    assert len(queries) == 2
    reject(submission, "late.png", "Could not read late.png: it is empty.")
    changed = person.get(address)
    assert b"late.png" in changed.content
    assert b"data-poll" in changed.content
    analysis.delete()
    make_analysis(study)
    final = person.get(poll_address(changed.content.decode()))
    assert final.status_code == 200
    assert b"hx-trigger" not in final.content


def test_views_of_a_study_stand_together_however_they_came(house: House, submission: Submission) -> None:
    first, second = (make_study(submission=submission) for _ in range(2))
    make_image(first)
    make_image(second)
    page = read(submission, house.uploader)
    assert page.count("Another view of the study above") == 2
    names = submission.uploads.order_by("created_at").values_list("filename", flat=True)
    places = [page.index(name) for name in names]
    assert places == [sorted(places)[at] for at in (0, 2, 1, 3)], "each beside its study, not as they came"


def test_receiving_counts_files(house: House) -> None:
    submission = make_submission(house.clinic, house.uploader, expected_files=12)
    make_study(submission=submission, state="open")
    page = read(submission, house.uploader)
    assert "1 of 12 files received" in page
    assert "Finish submission" in page


def test_only_who_may_end_it_is_offered_to(house: House) -> None:
    submission = make_submission(house.clinic, house.uploader)
    for person, offered in ((house.uploader, True), (house.admin, True), (house.reader, False)):
        page = read(submission, person)
        assert ("submission-cancel" in page or "cancel-sheet" in page) is offered
        assert ("Finish submission" in page) is offered


def test_retry_asks_again_for_the_failed_only(house: House, submission: Submission) -> None:
    good, bad, waiting = (make_study(submission=submission) for _ in range(3))
    make_analysis(good)
    make_analysis(bad, "failed")
    make_analysis(waiting, "failed")
    make_analysis(waiting, "queued")
    address = reverse("submission-retry", args=[house.clinic.slug, submission.pk])
    assert browser(house.stranger).post(address).status_code == 404
    response = browser(house.uploader).post(address, follow=True)
    assert "1 study will be analysed again." in response.content.decode()
    assert [study.analyses.filter(state="queued").count() for study in (good, bad, waiting)] == [0, 1, 1]


def test_cancelled_submission_is_final(house: House) -> None:
    submission = make_submission(house.clinic, house.uploader, state="cancelled")
    make_study(submission=submission, state="open")
    page = read(submission, house.uploader)
    assert "Cancelled" in page
    assert "data-poll" not in page


def test_blind_reader_learns_nothing(house: House, submission: Submission) -> None:
    house.clinic.blind_first = True
    house.clinic.save()
    make_analysis(make_study(submission=submission))
    page = read(submission, house.reader)
    assert "Hidden until you give your verdict" in page
    assert "Fracture suspected" not in page
    assert "Fracture suspected" in read(submission, house.uploader)


def test_cost_does_not_grow_with_files(house: House) -> None:
    small, large = (make_submission(house.clinic, house.uploader, state="finished") for _ in range(2))
    for submission, count in ((small, 1), (large, 9)):
        for _ in range(count):
            make_analysis(make_study(submission=submission))
    person = browser(house.uploader)
    with counted() as few:
        person.get(reverse("submission", args=[house.clinic.slug, small.pk]))
    with counted() as many:
        person.get(reverse("submission", args=[house.clinic.slug, large.pk]))
    assert len(few) == len(many)


def test_list_tells_counts(house: House, submission: Submission) -> None:
    make_analysis(make_study(submission=submission))
    make_analysis(make_study(submission=submission), "queued")
    reject(submission, "bad.png", "Could not read bad.png: it is empty.")
    address = reverse("submissions", args=[house.clinic.slug])
    person = browser(house.uploader)
    with counted() as few:
        page = person.get(address).content.decode()
    assert "3 files" in page
    assert "1 rejected" in page
    assert "1 of 2 done" in page
    assert "Analysing" in page
    for _ in range(5):
        make_study(submission=make_submission(house.clinic, house.uploader))
    with counted() as many:
        person.get(address)
    assert len(few) == len(many)
    assert "3 files" not in browser(house.colleague).get(address).content.decode()
