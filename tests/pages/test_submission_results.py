"""What the sender of a submission gets: counts, exports, and word when it is done."""

from __future__ import annotations

import csv
import io
import zipfile
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.test import override_settings
from django.urls import reverse

from tests.factories import make_analysis, make_study, make_submission
from tests.pages.conftest import House, browser
from tests.reviews.people import say, take_seat
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.models import User
from xrayportal.studies.models import Study, Submission
from xrayportal.studies.services import cancel_submission, finish_submission
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
    lines = b"".join(response).decode().splitlines()
    assert lines[0].startswith("Research use only. Not a diagnosis.,")
    return list(csv.DictReader(io.StringIO("\n".join(lines[1:])), restval=""))


def test_counts_by_verdict_tell_a_blind_reader_only_what_they_may_know(
    house: House, submission: Submission
) -> None:
    for _ in range(2):
        make_analysis(make_study(submission=submission), verdict="abnormal")
    normal = make_study(submission=submission)
    make_analysis(normal, verdict="normal", probability=0.1)
    shown = read(submission, house.reader)
    assert 'Fracture suspected <span class="figures">2</span>' in shown
    assert 'No fracture seen <span class="figures">1</span>' in shown
    house.clinic.blind_first = True
    house.clinic.save()
    seat = take_seat(house.clinic)
    assert "3 after your opinion" in read(submission, seat.user)
    assert 'class="verdict tone-' not in read(submission, seat.user)
    say(seat, normal, "normal")
    assert "2 after your opinion" in read(submission, seat.user)
    assert 'No fracture seen <span class="figures">1</span>' in read(submission, seat.user)
    assert "after your opinion" not in read(submission, house.uploader)


def test_place_in_the_line_and_the_slow_case(house: House, submission: Submission) -> None:
    for _ in range(3):
        make_analysis(make_study(submission=submission), "queued")
    cache.set("analyses.throughput", (2.0, 30.0, 1), 60)
    try:
        page = read(submission, house.uploader)
    finally:
        cache.delete("analyses.throughput")
    assert "the last one is <strong>3rd</strong> in line" in page
    assert "About 10 s left, 2 min if it goes slowly" in page


def test_results_as_csv(house: House, submission: Submission) -> None:
    study = make_study(submission=submission, patient_reference="=cmd|'x'!A1")
    make_analysis(study)
    make_analysis(make_study(submission=submission, patient_reference="NH-2"), "failed")
    rows = table(submission, house.uploader)
    assert [row["patient_reference"] for row in rows] == ["'=cmd|'x'!A1", "NH-2"]
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
    make_analysis(make_study(submission=submission))
    (row,) = table(submission, house.reader)
    assert row["verdict_words"] in ("", "After your opinion")
    assert not row["probability"]
    assert not row["body_part"]
    with archive(submission, house.reader) as found:
        assert [name for name in found.namelist() if "heatmap" in name] == []
        assert b"abnormal" not in found.read("results.csv")
    with archive(submission, house.uploader) as found:
        assert [name for name in found.namelist() if "heatmap" in name] != []


def archive(submission: Submission, person: User) -> zipfile.ZipFile:
    response = take("submission-pictures", submission, person)
    assert response.streaming
    return zipfile.ZipFile(io.BytesIO(b"".join(response)))


def test_results_as_zip(house: House, submission: Submission) -> None:
    study = make_study(submission=submission, views=2, patient_reference="../NH 7")
    analysis = make_analysis(study)
    gone = analysis.findings.order_by("image__created_at").last()
    assert gone is not None
    default_storage.delete(gone.overlay_file)
    with archive(submission, house.uploader) as found:
        assert found.testzip() is None
        assert sorted(found.namelist()) == [
            "0001-_NH_7/view-1-heatmap.png",
            "0001-_NH_7/view-1.jpg",
            "0001-_NH_7/view-2.jpg",
            "missing.txt",
            "results.csv",
        ]
        assert found.read("missing.txt") == b"0001-_NH_7/view-2-heatmap.png\n"
        assert found.read("0001-_NH_7/view-1.jpg")[:2] == b"\xff\xd8"
    assert AuditEvent.objects.get(action=Action.EXPORTED).detail == {"kind": "submission-zip"}


@pytest.mark.parametrize("name", ["submission-results", "submission-pictures"])
def test_nobody_else_gets_results(house: House, submission: Submission, name: str) -> None:
    for person in (house.stranger, house.colleague):
        assert take(name, submission, person).status_code == 404
    assert not AuditEvent.objects.filter(action=Action.EXPORTED).exists()


def finished(house: House) -> tuple[Submission, Study]:
    submission = make_submission(house.clinic, house.uploader)
    study = make_study(submission=submission, patient_reference="NH-secret")
    make_analysis(study, "queued")
    finish_submission(submission=submission, actor=house.uploader, address=None)
    return submission, study


def settle(study: Study) -> None:
    study.analyses.all().delete()
    make_analysis(study)


@override_settings(EMAIL_BACKEND=SMTP, PUBLIC_URL="https://xray.example")
def test_one_digest_when_all_is_done(house: House) -> None:
    submission, study = finished(house)
    assert make_ready() == 0
    assert send_mails() == 0
    settle(study)
    assert make_ready() == 1
    assert make_ready() == 0
    assert (send_mails(), send_mails()) == (1, 0)
    (sent,) = mail.outbox
    assert sent.to == [house.uploader.email]
    assert f"https://xray.example/c/{house.clinic.slug}/submissions/{submission.pk}/" in sent.body
    assert "1 analysed" in sent.body
    for secret in ("NH-secret", "Fracture", "view_"):
        assert secret not in sent.body
    # On the next page, once; and only for the sender.
    worklist = reverse("worklist", args=[house.clinic.slug])
    assert "Your submission is done" not in browser(house.reader).get(worklist).content.decode()
    assert "Your submission is done" in browser(house.uploader).get(worklist).content.decode()
    assert "Your submission is done" not in browser(house.uploader).get(worklist).content.decode()


def test_who_watched_it_end_is_not_told(house: House) -> None:
    submission, study = finished(house)
    settle(study)
    make_ready()
    assert "Your submission is done" not in read(submission, house.uploader)
    assert Digest.objects.get().seen_at is not None


def test_cancelled_says_nothing(house: House) -> None:
    submission, _study = finished(house)
    cancel_submission(submission=submission, actor=house.uploader, address=None)
    assert make_ready() == 0
    assert not Digest.objects.exists()


@pytest.mark.parametrize(
    "unset", [{"PUBLIC_URL": ""}, {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}]
)
def test_no_mail_unless_configured(house: House, unset: dict[str, str]) -> None:
    _submission, study = finished(house)
    settle(study)
    make_ready()
    with override_settings(**{"EMAIL_BACKEND": SMTP, "PUBLIC_URL": "https://xray.example", **unset}):
        assert send_mails() == 0
    assert Digest.objects.get().mailed_at is None


@override_settings(
    PUBLIC_URL="https://xray.example",
    EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
    EMAIL_HOST="127.0.0.1",
    EMAIL_PORT=9,
)
def test_a_mail_server_that_is_away_is_tried_again_and_given_up(house: House) -> None:
    _submission, study = finished(house)
    settle(study)
    make_ready()
    for _ in range(Digest.MOST_ATTEMPTS + 2):
        assert send_mails() == 0
    digest = Digest.objects.get()
    assert (digest.mailed_at, digest.mail_attempts) == (None, Digest.MOST_ATTEMPTS)
