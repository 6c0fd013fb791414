"""What was left out or changed to show a picture: from the file's header to every place that people read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.urls import reverse
from django.utils import translation
from django.utils.html import escape
from pypdf import PdfReader

from inference_worker import notes
from inference_worker.celery_worker import worker as worker_module
from inference_worker.celery_worker.worker import InferenceWorker
from tests.factories import make_analysis, make_clinic, make_study, make_submission
from tests.house import House, browser, only_study, take
from tests.inference_worker.drawing import radiograph, with_texts, written
from xrayportal.analyses.bundles import register_bundle
from xrayportal.analyses.models import Finding
from xrayportal.clinics.actors import COMMAND_LINE
from xrayportal.reviews.report.facts import facts_of
from xrayportal.reviews.report.page import render_report
from xrayportal.studies.models import Study
from xrayportal.words.notes import SENTENCES, note_sentences

CODES = [notes.WINDOW_UNUSABLE, notes.RESAMPLED]


@pytest.fixture(scope="module")
def worker() -> Iterator[InferenceWorker]:
    worker = InferenceWorker()
    yield worker
    worker.decoder.end()


@pytest.fixture
def study(house: House) -> Study:
    """A study of one picture, with notes of the intake and of the decoder."""
    submission = make_submission(house.clinic, house.uploader, state="finished")
    study = make_study(submission=submission, patient_reference="NH-1")
    make_analysis(study)
    Finding.objects.update(notes=CODES)
    return study


def film() -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.clip(np.linspace(0, 4095, 200 * 150).reshape(200, 150) + rng.normal(0, 30, (200, 150)), 0, 4095)


def table(answer: Any) -> list[dict[str, str]]:
    lines = b"".join(answer).decode("utf-8-sig").splitlines()
    return list(csv.DictReader(io.StringIO("\n".join(lines[1:]))))


@pytest.mark.django_db
def test_what_the_intake_leaves_out_stands_beside_what_the_decoder_changes(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "wake_workers", lambda: True)
    register_bundle(folder="fracatlas-lite0", activate=True, actor=COMMAND_LINE)
    source = radiograph(film().astype(np.uint16), PixelSpacing=[0.2, 0.1])
    upload = take(
        make_submission(make_clinic()), written(with_texts(source, WindowCenter="NaN", WindowWidth="NaN"))
    )
    assert upload.image is not None
    assert upload.image.notes == [notes.WINDOW_UNUSABLE]
    worker.work()
    finding = Finding.objects.get(analysis=only_study().current)
    assert finding.notes == CODES
    # The stored depth lies beside it, with the numbers that say what it means.
    assert (finding.depth["highest"], finding.depth["first"], finding.depth["step"]) == (4095, 0, 1)
    with default_storage.open(finding.depth_file) as file:
        codes = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert (codes.dtype, codes.shape) == (np.uint16, (400, 150))


def test_the_page_says_it_also_to_a_blind_reader(house: House, study: Study) -> None:
    for person in (house.uploader, house.reader):
        address = reverse("study", args=[study.clinic.slug, study.pk])
        page = browser(person).get(address).content.decode()
        for sentence in note_sentences(CODES):
            assert escape(sentence) in page


def test_exports_have_the_codes(house: House, study: Study) -> None:
    person = browser(house.admin)
    slug, submission = study.clinic.slug, study.submission_id
    results = table(person.post(reverse("submission-results", args=[slug, submission])))
    history = table(person.post(reverse("history-export", args=[slug])))
    assert [row["notes"] for row in (*results, *history)] == [" ".join(CODES)] * 2


@pytest.mark.django_db
def test_the_report_says_it(study: Study) -> None:
    report = render_report(facts_of(study, clinic=study.clinic), storage=default_storage)
    text = " ".join(PdfReader(io.BytesIO(report)).pages[0].extract_text().split())
    for sentence in note_sentences(CODES):
        assert sentence in text


def test_every_note_has_its_sentence() -> None:
    assert list(SENTENCES) == list(notes.SENTENCES)
    with translation.override("en"):
        for code, sentence in notes.SENTENCES.items():
            assert note_sentences([code])[0].lower() == f"{sentence}.".lower()
    with translation.override("de"):
        assert all(str(german) != notes.SENTENCES[code] for code, german in SENTENCES.items())
    assert note_sentences(["of a later version"]) == ["of a later version"]
