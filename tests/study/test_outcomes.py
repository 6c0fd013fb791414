"""Leanings and body parts that are not judged, in every place that shows a result."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from django.urls import reverse
from pypdf import PdfReader

from tests.factories import make_analysis, make_bundle, make_study, make_submission
from tests.house import House, body, browser
from tests.measured import with_measures
from xrayportal.analyses.models import Analysis
from xrayportal.clinics.models import User
from xrayportal.studies.models import Study, Submission

pytestmark = pytest.mark.django_db

NOT_JUDGED = {
    "verdict": "uncertain",
    "reason": "body_part_not_judged",
    "body_part": "ankle",
    "body_parts": {"ankle": 0.9, "wrist": 0.1},
    "probability": None,
}
TOWARDS_NORMAL = {"verdict": "uncertain", "leaning": "towards_normal", "probability": 0.3}


@pytest.fixture(autouse=True)
def _bundle(house: House) -> None:
    bundle = make_bundle()
    bundle.manifest = with_measures(bundle.manifest, unjudged="ankle")
    bundle.save()


@pytest.fixture
def submission(house: House) -> Submission:
    """A study that leans towards normal, one that is not judged, one that is abnormal."""
    submission = make_submission(house.clinic, house.uploader, state="finished")
    for reference, result in (("LEANS", TOWARDS_NORMAL), ("ANKLE", NOT_JUDGED), ("SUSPECT", {})):
        analyse(make_study(submission=submission, patient_reference=reference), **result)
    return submission


def analyse(study: Study, **result: Any) -> Analysis:
    analysis = make_analysis(study, **result)
    if analysis.leaning:
        analysis.findings.update(leaning=analysis.leaning, location="weak", trust=None)
    return analysis


def text_of(house: House, name: str, *keys: object, query: str = "", person: User | None = None) -> str:
    address = reverse(name, args=[house.clinic.slug, *keys]) + query
    response = browser(person or house.reader).get(address)
    assert response.status_code == 200
    return str(response.content.decode())


def study_of(reference: str) -> Study:
    return Study.objects.get(patient_reference=reference)


def test_the_study_page_says_what_a_leaning_is_worth(house: House, submission: Submission) -> None:
    page = text_of(house, "study", study_of("LEANS").pk)
    assert "Uncertain, towards normal" in page
    assert "14 of 140 images with this result had a fracture" in page
    assert "where 16 % of the images had a fracture" in page
    assert "Only a hint here" in page
    assert "Metal and casts attract it." in page
    assert reverse("model-card", args=[house.clinic.slug, make_bundle().pk]) in page
    assert "data-overlay-url" in page
    assert "Trust" not in page


def test_the_study_page_says_nothing_of_a_body_part_that_is_not_judged(
    house: House, submission: Submission
) -> None:
    page = text_of(house, "study", study_of("ANKLE").pk)
    assert "Not judged" in page
    assert "Ankle: the model was tested on 19 images with a fracture, and how well it tells them" in page
    assert "data-overlay-url" not in page
    assert 'class="probability' not in page
    assert "Metal and casts" not in page


def test_where_no_area_stands_out_nothing_is_drawn(house: House) -> None:
    study = make_study(submission=make_submission(house.clinic, house.uploader))
    analysis = make_analysis(study, verdict="normal", probability=0.05)
    analysis.findings.update(location="none", peak_x=None, peak_y=None, overlay_file="")
    page = text_of(house, "study", study.pk)
    assert "No area stands out." in page
    assert "data-overlay-url" not in page
    assert "4 of 300 images with this result had a fracture all the same." in page


def test_a_missing_view_is_the_reason_where_it_is_the_only_one(house: House) -> None:
    study = make_study(submission=make_submission(house.clinic, house.uploader))
    make_analysis(study, verdict="uncertain", leaning="towards_normal", probability=0.1)
    page = text_of(house, "study", study.pk)
    assert "A view is missing, so the study is not called normal." in page
    assert "14 of 140" not in page


@pytest.mark.parametrize(
    ("verdict", "found"),
    [
        ("towards_normal", {"LEANS"}),
        ("towards_abnormal", set()),
        ("uncertain", {"LEANS"}),
        ("not_judged", {"ANKLE"}),
        ("abnormal", {"SUSPECT"}),
    ],
)
def test_worklist_and_history_filter_by_it(
    house: House, submission: Submission, verdict: str, found: set[str]
) -> None:
    for name, person in (("worklist", house.reader), ("history", house.admin)):
        page = text_of(house, name, query=f"?verdict={verdict}", person=person)
        assert set(re.findall(r"LEANS|ANKLE|SUSPECT", page)) == found


def test_the_worklist_names_it(house: House, submission: Submission) -> None:
    page = text_of(house, "worklist")
    assert "Uncertain, towards normal" in page
    assert "Not judged" in page


def test_a_submission_counts_it(house: House, submission: Submission) -> None:
    page = text_of(house, "submission", submission.pk, person=house.uploader)
    for words in ("Uncertain, towards normal", "Not judged", "Fracture suspected"):
        assert f'{words} <span class="figures">1</span>' in page


def test_exports_tell_it(house: House, submission: Submission) -> None:
    for name, keys, person in (
        ("submission-results", [submission.pk], house.uploader),
        ("history-export", [], house.admin),
    ):
        answer = browser(person).post(reverse(name, args=[house.clinic.slug, *keys]))
        lines = body(answer).decode("utf-8-sig").splitlines()
        rows = {row["patient_reference"]: row for row in csv.DictReader(lines[1:])}
        assert (rows["LEANS"]["leaning"], rows["LEANS"]["reason"]) == ("towards_normal", "")
        assert (rows["ANKLE"]["reason"], rows["ANKLE"]["probability"]) == ("body_part_not_judged", "")
        words = "verdict_words" if name == "submission-results" else "model_words"
        assert [rows[one][words] for one in ("LEANS", "ANKLE")] == ["Uncertain, towards normal", "Not judged"]


def test_the_report_explains_it(house: House, submission: Submission) -> None:
    for reference, sentence in (
        ("LEANS", "14 of 140 images with this result had a fracture"),
        ("ANKLE", "It does not judge this body part"),
    ):
        address = reverse("report", args=[house.clinic.slug, study_of(reference).pk])
        content = body(browser(house.reader).get(address))
        text = " ".join(PdfReader(io.BytesIO(content)).pages[0].extract_text().split())
        assert sentence in text


def test_the_scorecard_tells_it(house: House, submission: Submission) -> None:
    page = text_of(house, "scorecard", person=house.admin)
    assert "Not judged" in page
    assert "Uncertain, towards normal" in page
