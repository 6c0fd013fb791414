"""The results of a submission for its sender: counts, exports, and a message when it is done."""

from __future__ import annotations

import codecs
import csv
import io
import re
import tracemalloc
import zipfile
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.core import mail
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone
from pypdf import PdfReader

from inference_worker import render
from tests.factories import jpeg, make_analysis, make_study, make_submission
from tests.house import House, browser
from tests.opinions import make_access, say
from xrayportal.analyses.models import Analysis
from xrayportal.analyses.queue.waiting import _Throughput
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import User
from xrayportal.intake.services import cancel_submission, finish_submission
from xrayportal.studies.models import Study, Submission
from xrayportal.worklist.digests import make_ready, send_mails
from xrayportal.worklist.models import Digest

SMTP = "django.core.mail.backends.locmem.EmailBackend"


@pytest.fixture
def submission(house: House) -> Submission:
    return make_submission(house.clinic, house.uploader, state="finished", expected_files=3)


def read(submission: Submission, person: User) -> str:
    address = reverse("submission", args=[submission.clinic.slug, submission.pk])
    return str(browser(person).get(address).content.decode())


def take(name: str, submission: Submission, person: User) -> Any:
    return browser(person).post(reverse(name, args=[submission.clinic.slug, submission.pk]))


def table(submission: Submission, person: User) -> list[dict[str, str]]:
    response = take("submission-results", submission, person)
    content = b"".join(response)
    assert content.startswith(codecs.BOM_UTF8)  # else Excel reads umlauts as two signs each
    lines = content.decode("utf-8-sig").splitlines()
    assert lines[0].startswith("Research use only. Not a diagnosis.,")
    return list(csv.DictReader(io.StringIO("\n".join(lines[1:])), restval=""))


def test_counts_by_verdict_tell_a_blind_reader_only_what_they_may_know(
    house: House, submission: Submission
) -> None:
    for _ in range(2):
        make_analysis(make_study(submission=submission), verdict="abnormal")
    normal = make_study(submission=submission)
    make_analysis(normal, verdict="normal", probability=0.1)
    page = read(submission, house.reader)
    assert 'Fracture suspected <span class="figures">2</span>' in page
    assert 'No fracture seen <span class="figures">1</span>' in page
    house.clinic.blind_first = True
    house.clinic.save()
    access = make_access(house.clinic)
    assert "3 hidden until you give your verdict" in read(submission, access.user)
    assert 'class="verdict tone-' not in read(submission, access.user)
    say(access, normal, "normal")
    assert "2 hidden until you give your verdict" in read(submission, access.user)
    assert 'No fracture seen <span class="figures">1</span>' in read(submission, access.user)
    assert "hidden until you give your verdict" not in read(submission, house.uploader)


def test_place_in_the_line_and_the_slow_case(house: House, submission: Submission) -> None:
    for _ in range(3):
        make_analysis(make_study(submission=submission), "queued")
    cache.set("analyses.throughput", _Throughput(2.0, 30.0, [1.0]), 60)
    try:
        page = read(submission, house.uploader)
    finally:
        cache.delete("analyses.throughput")
    assert "last study is <strong>3rd</strong> in the queue" in page
    assert "10 s to 2 min left" in page


def test_results_as_csv(house: House, submission: Submission) -> None:
    study = make_study(submission=submission, patient_reference="=cmd|'x'!A1")
    make_analysis(study)
    make_analysis(make_study(submission=submission, patient_reference="NH-2"), "failed")
    rows = table(submission, house.uploader)
    assert [row["patient_reference"] for row in rows] == ["'=cmd|'x'!A1", "NH-2"]
    assert rows[0]["uploader"] == house.uploader.email
    assert rows[0]["address"] == f"http://testserver/c/{house.clinic.slug}/studies/{study.pk}/"
    assert (rows[0]["verdict"], rows[0]["probability"], rows[0]["state"]) == (
        "abnormal",
        "0.8700",
        "succeeded",
    )
    assert (rows[1]["verdict"], rows[1]["state"]) == ("", "failed")
    event = AuditEvent.objects.get(action=Action.EXPORTED)
    assert (event.target_id, event.detail) == (str(submission.pk), {"kind": "submission-csv"})


def test_exports_hide_what_a_blind_reader_may_not_know(house: House, submission: Submission) -> None:
    house.clinic.blind_first = True
    house.clinic.save()
    as_the_worker_writes(make_analysis(make_study(submission=submission)))
    (row,) = table(submission, house.reader)
    assert row["verdict_words"] in ("", "Hidden until you give your verdict")
    assert not row["probability"]
    assert not row["body_part"]
    with archive(submission, house.reader) as found:
        revealing = [name for name in found.namelist() if "heatmap" in name or name == "missing.txt"]
        assert revealing == []
        assert b"abnormal" not in found.read("results.csv")
        assert found.read("results.csv").startswith(codecs.BOM_UTF8)
    with archive(submission, house.uploader) as found:
        assert len([name for name in found.namelist() if "heatmap" in name]) == 2


def archive(submission: Submission, person: User) -> zipfile.ZipFile:
    response = take("submission-pictures", submission, person)
    assert response.streaming
    return zipfile.ZipFile(io.BytesIO(b"".join(response)))


def as_the_worker_writes(analysis: Analysis, size: tuple[int, int] = (300, 400)) -> None:
    """Store pictures of the kinds that a worker writes."""
    signed = np.zeros((20, 20), np.float32)
    signed[5:9, 5:9] = 4.0
    for finding in analysis.findings.all():
        stem = f"clinics/{analysis.clinic_id}/findings/zip/{finding.pk}"
        finding.display_file = default_storage.save(f"{stem}-display.jpg", ContentFile(jpeg(size, shade=90)))
        overlay = ContentFile(render.overlay(signed, 4.0, *size))
        finding.overlay_file = default_storage.save(f"{stem}-overlay.png", overlay)
        finding.save()


def test_results_as_zip(house: House, submission: Submission) -> None:
    study = make_study(submission=submission, views=2, patient_reference="../NH 7")
    for image, name in zip(study.images.all(), ("Röntgen links.png", "..png"), strict=True):
        image.uploads.update(filename=name)
    analysis = make_analysis(study)
    as_the_worker_writes(analysis)
    last = analysis.findings.order_by("image__created_at", "image").last()
    assert last is not None
    default_storage.delete(last.overlay_file)
    with archive(submission, house.uploader) as found:
        assert found.testzip() is None
        assert found.namelist() == [
            "contents.txt",
            "results.csv",
            "0001-NH_7/1-Röntgen_links.jpg",
            "0001-NH_7/1-Röntgen_links-heatmap.png",
            "0001-NH_7/1-Röntgen_links-with-heatmap.pdf",
            "0001-NH_7/2-view.jpg",
            "missing.txt",
        ]
        assert found.read("contents.txt").startswith(b"Research use only. Not a diagnosis.\n")
        missing = found.read("missing.txt").decode().split()
        assert missing == ["0001-NH_7/2-view-heatmap.png", "0001-NH_7/2-view-with-heatmap.pdf"]
        assert found.read("0001-NH_7/1-Röntgen_links.jpg")[:2] == b"\xff\xd8"
    assert AuditEvent.objects.get(action=Action.EXPORTED).detail == {"kind": "submission-zip"}


def test_the_radiograph_with_its_heatmap_says_what_it_is(house: House, submission: Submission) -> None:
    study = make_study(submission=submission, patient_reference="NH-7")
    study.images.get().uploads.update(filename="a.png")
    as_the_worker_writes(make_analysis(study))
    with archive(submission, house.uploader) as found:
        (page,) = PdfReader(io.BytesIO(found.read("0001-NH-7/1-a-with-heatmap.pdf"))).pages
        radiograph = found.read("0001-NH-7/1-a.jpg")
    text = page.extract_text()
    for words in (
        "Research use only. Not a diagnosis.",
        "Fracture suspected 0.87",
        "NH-7 · Wrist · View 1 of 1",
        "Heatmap: Strongest evidence here",
        "Model version test-",
    ):
        assert words in text
    assert len(page.images) == 2
    assert radiograph in [image.indirect_reference.get_object()._data for image in page.images]  # type: ignore[union-attr]


def test_a_reference_in_any_script_is_readable(house: House, submission: Submission) -> None:
    as_the_worker_writes(make_analysis(make_study(submission=submission, patient_reference="Пациент 7")))
    with archive(submission, house.uploader) as found:
        (name,) = [name for name in found.namelist() if name.endswith(".pdf")]
        (page,) = PdfReader(io.BytesIO(found.read(name))).pages
    assert "Пациент 7 · Wrist · View 1 of 1" in page.extract_text()


def test_a_study_without_a_reference_is_known_by_its_first_file(house: House, submission: Submission) -> None:
    make_analysis(make_study(submission=submission))
    with archive(submission, house.uploader) as found:
        assert re.fullmatch(r"0001-(view_\d+)/1-\1.jpg", found.namelist()[2])


def test_the_zip_costs_one_view_of_memory(house: House, submission: Submission) -> None:
    for number in range(12):
        analysis = make_analysis(make_study(submission=submission))
        as_the_worker_writes(analysis)
        big = jpeg((300, 400), shade=number, comment=bytes(60_000)) * 1
        for finding in analysis.findings.all():
            default_storage.save(finding.display_file, ContentFile(big + bytes(400_000)))
    b"".join(take("submission-pictures", submission, house.uploader))  # fonts are loaded once per process
    tracemalloc.start()
    try:
        sent = sum(len(piece) for piece in take("submission-pictures", submission, house.uploader))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent > 9_000_000
    assert peak < 5_000_000


@pytest.mark.parametrize("name", ["submission-results", "submission-pictures"])
def test_nobody_else_gets_results(house: House, submission: Submission, name: str) -> None:
    for person in (house.stranger, house.colleague):
        assert take(name, submission, person).status_code == 404
    assert not AuditEvent.objects.filter(action=Action.EXPORTED).exists()


def finished(house: House) -> tuple[Submission, Study]:
    submission = make_submission(house.clinic, house.uploader)
    study = make_study(submission=submission, patient_reference="NH-secret")
    make_analysis(study, "queued")
    finish_submission(submission=submission, actor=Actor(house.uploader))
    return submission, study


def finish_studies(study: Study) -> None:
    study.analyses.all().delete()
    make_analysis(study)


@override_settings(EMAIL_BACKEND=SMTP, PUBLIC_URL="https://xray.example")
def test_one_digest_when_all_is_done(house: House) -> None:
    submission, study = finished(house)
    assert make_ready() == 0
    assert send_mails() == 0
    finish_studies(study)
    assert make_ready() == 1
    assert make_ready() == 0
    assert (send_mails(), send_mails()) == (1, 0)
    (sent,) = mail.outbox
    assert sent.to == [house.uploader.email]
    assert f"https://xray.example/c/{house.clinic.slug}/submissions/{submission.pk}/" in sent.body
    assert "1 study\n1 analysed\n\nhttps://" in sent.body  # and no word of what there was none of
    for secret in ("NH-secret", "Fracture", "view_"):
        assert secret not in sent.body
    # On the next page, once; and only for the sender.
    worklist = reverse("worklist", args=[house.clinic.slug])
    assert "Your submission is done" not in browser(house.reader).get(worklist).content.decode()
    assert "Your submission is done" in browser(house.uploader).get(worklist).content.decode()
    assert "Your submission is done" not in browser(house.uploader).get(worklist).content.decode()


def test_who_watched_it_end_is_not_told(house: House) -> None:
    submission, study = finished(house)
    finish_studies(study)
    make_ready()
    assert "Your submission is done" not in read(submission, house.uploader)
    assert Digest.objects.get().seen_at is not None


def test_cancelled_says_nothing(house: House) -> None:
    submission, _study = finished(house)
    cancel_submission(submission=submission, actor=Actor(house.uploader))
    assert make_ready() == 0
    assert not Digest.objects.exists()


@pytest.mark.parametrize(
    "unset", [{"PUBLIC_URL": ""}, {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}]
)
def test_no_mail_unless_configured(house: House, unset: dict[str, str]) -> None:
    _submission, study = finished(house)
    finish_studies(study)
    make_ready()
    with override_settings(**{"EMAIL_BACKEND": SMTP, "PUBLIC_URL": "https://xray.example", **unset}):
        assert send_mails() == 0
    assert Digest.objects.get().mailed_at is None


@override_settings(EMAIL_BACKEND=SMTP, PUBLIC_URL="https://xray.example")
def test_what_is_no_news_is_not_mailed(house: House) -> None:
    """Where a mail server is configured later, senders get no mail about all their old submissions."""
    _submission, study = finished(house)
    finish_studies(study)
    make_ready()
    Digest.objects.update(ready_at=timezone.now() - timedelta(days=2))
    assert send_mails() == 0
    assert mail.outbox == []


@override_settings(
    PUBLIC_URL="https://xray.example",
    EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
    EMAIL_HOST="127.0.0.1",
    EMAIL_PORT=9,
)
def test_a_mail_server_that_is_away_is_tried_again_and_given_up(house: House) -> None:
    _submission, study = finished(house)
    finish_studies(study)
    make_ready()
    for minutes, attempts in ((0, 1), (0, 1), (2, 1), (4, 2), (16, 3), (59, 3), (61, 4), (241, 5), (9999, 5)):
        Digest.objects.update(ready_at=timezone.now() - timedelta(minutes=minutes))
        assert send_mails() == 0
        digest = Digest.objects.get()
        assert (digest.mailed_at, digest.mail_attempts) == (None, attempts), minutes


@override_settings(EMAIL_BACKEND=SMTP, PUBLIC_URL="https://xray.example")
def test_a_slow_mail_server_does_not_hold_the_reconciler(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        finish_studies(finished(house)[1])
    assert make_ready() == 2
    monkeypatch.setattr("xrayportal.worklist.digests._ROUND_SECONDS", 0.0)
    assert [send_mails(), send_mails(), send_mails()] == [1, 1, 0]
