"""Why a file was rejected or an analysis failed: stored once, shown in the reader's language."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from tests.factories import make_analysis, make_clinic, make_study, make_submission, png
from tests.house import House
from xrayportal.analyses.queue.steps import DIED, DIED_SENTENCE
from xrayportal.analyses.results import UnreadableView
from xrayportal.clinics.actors import PORTAL
from xrayportal.intake.bulk.delivery import take, take_refusal
from xrayportal.intake.ingest import IncomingFile
from xrayportal.intake.rejection import GENERAL
from xrayportal.studies.models import Upload
from xrayportal.web.shared.failures import WITHOUT_FILE, failure_of, rejection_sentence

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]
RAISED = re.compile(r'UnreadableError\(\s*"(\w+)"')


def send(name: str, content: bytes) -> Upload:
    submission = make_submission(make_clinic())
    delivery = IncomingFile(submission=submission, key="k", path=name, actor=PORTAL)
    return take(delivery, io.BytesIO(content))[0]


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_rejection_is_stored_in_english_and_said_in_both(language: str) -> None:
    with translation.override(language):
        upload = send("knie_02.png", png()[:40])
    assert upload.sentence.startswith("Could not read knie_02.png: the file ends before its pixels.")
    assert rejection_sentence(upload) == upload.sentence
    with translation.override("de"):
        assert rejection_sentence(upload).startswith("knie_02.png war nicht lesbar: die Datei endet vor")


def test_what_the_sentence_knows_more_is_kept_in_english() -> None:
    upload = send("report.pdf", b"%PDF-1.7 and so on")
    assert "a PDF" in upload.sentence
    with translation.override("de"):
        assert "PDF" not in rejection_sentence(upload).removeprefix("report.pdf")
        assert "report.pdf" in rejection_sentence(upload)


def test_an_archive_is_refused_in_german_too() -> None:
    submission = make_submission(make_clinic())
    delivery = IncomingFile(submission=submission, key="k", path="alles.zip", actor=PORTAL)
    upload = take_refusal(delivery, "member-encrypted", 100)
    assert "it is encrypted" in upload.sentence
    with translation.override("de"):
        assert rejection_sentence(upload).startswith("alles.zip war nicht lesbar: sie ist verschlüsselt.")


def test_a_failed_analysis_names_every_file_in_german(house: House) -> None:
    study = make_study(house.clinic, views=2)
    views = [
        UnreadableView(image.pk, kind, f"“{name}”", "The JPEG ends before its last line; send it again.")
        for image, kind, name in zip(
            study.images.all(), ("truncated", "multi_frame"), ("a.jpg", "b.dcm"), strict=True
        )
    ]
    analysis = make_analysis(
        study,
        "failed",
        error_kind="truncated",
        error_sentence=" ".join(view.sentence for view in views),
        unreadable=[view.as_json() for view in views],
    )
    assert failure_of(analysis) == analysis.error_sentence
    client = Client(headers={"accept-language": "de"})
    client.force_login(house.admin)
    slug = house.clinic.slug
    for address in (
        reverse("study", args=[slug, study.pk]),
        reverse("submission", args=[slug, study.submission_id]),
        reverse("clinic-operations", args=[slug]),
    ):
        page = client.get(address).content.decode()
        assert "“a.jpg” war nicht lesbar: die Datei endet vor ihren Pixeln." in page, address
        assert "“b.dcm” war nicht lesbar: sie enthält mehrere Bilder." in page, address
        assert "last line" not in page, address


def test_what_is_no_files_fault_needs_no_name() -> None:
    study = make_study()
    analysis = make_analysis(study, "failed", error_kind=DIED, error_sentence=DIED_SENTENCE)
    with translation.override("de"):
        assert failure_of(analysis) == str(WITHOUT_FILE[DIED])
        assert failure_of(analysis) != DIED_SENTENCE


def test_an_unknown_kind_is_said_as_it_is_stored() -> None:
    analysis = make_analysis(make_study(), "failed", error_kind="later", error_sentence="Something new.")
    with translation.override("de"):
        assert failure_of(analysis) == "Something new."


def test_a_result_of_the_first_versions_keeps_its_sentence(house: House) -> None:
    study = make_study(house.clinic, views=2)
    (broken, _) = study.images.all()
    analysis = make_analysis(
        study, unreadable=[{"image": str(broken.pk), "kind": "truncated", "sentence": "Could not read x."}]
    )
    analysis.findings.filter(image=broken).delete()
    client = Client(headers={"accept-language": "de"})
    client.force_login(house.reader)
    page = client.get(reverse("study", args=[house.clinic.slug, study.pk]) + "?view=1").content.decode()
    assert "Could not read x." in page


def test_every_kind_of_the_workers_decoders_has_words() -> None:
    sources = (ROOT / "inference_worker" / "decode").glob("*.py")
    kinds = {kind for source in sources for kind in RAISED.findall(source.read_text())}
    assert len(kinds) > 8
    # A path that cannot be opened is the command's: the worker reads from the storage.
    assert {kind.replace("_", "-") for kind in kinds - {"cannot_open"}} <= set(GENERAL)
