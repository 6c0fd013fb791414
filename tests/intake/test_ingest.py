"""One file: written before its row, stored once, known by its key, its fate told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.storage import default_storage

from tests.factories import (
    jpeg,
    make_clinic,
    make_submission,
    png,
)
from tests.house import Sender, only_study, take
from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.intake import ingest
from xrayportal.studies.models import Image, Study, Submission, Upload

pytestmark = pytest.mark.django_db


def test_one_picture_is_a_sealed_study_with_an_analysis_at_once(submission: Submission) -> None:
    upload = take(submission, png(), patient_reference="R-17", stated_body_part="wrist", priority=3)
    image = upload.image
    assert image is not None
    study = image.study
    assert (study.state, study.patient_reference, study.priority) == (Study.State.SEALED, "R-17", 3)
    assert study.sealed_at is not None
    with default_storage.open(image.file) as file:
        stored = file.read()
    assert image.sha256 == hashlib.sha256(stored).hexdigest()
    assert image.file == f"clinics/{submission.clinic_id}/originals/{image.sha256[:2]}/{image.sha256}"
    assert (image.size, image.media_type) == (len(stored), "image/png")
    analysis = study.analyses.get()
    assert analysis.state == Analysis.State.QUEUED
    told = list(AuditEvent.objects.filter(clinic=submission.clinic).values_list("action", flat=True))
    assert set(told) == {Action.IMAGE_STORED, Action.ANALYSIS_REQUESTED, Action.STUDY_SEALED}
    assert set(AuditEvent.objects.values_list("study_id", flat=True)) == {study.pk}


def test_the_file_is_there_before_the_row(submission: Submission, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, bool]] = []
    store = ingest._store_once

    def watched(sent: Any, prepared: Any, name: str) -> Upload:
        seen.append((default_storage.exists(name), Image.objects.filter(file=name).exists()))
        return store(sent, prepared, name)

    monkeypatch.setattr(ingest, "_store_once", watched)
    take(submission, png())
    assert seen == [(True, False)]


def test_a_file_that_cannot_be_written_leaves_no_row(
    submission: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(name: str, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ingest, "write_durably", full)
    with pytest.raises(OSError, match="No space"):
        take(submission, png())
    assert not Upload.objects.exists()
    assert not Study.objects.exists()
    monkeypatch.undo()
    assert take(submission, png()).outcome == Upload.Outcome.ACCEPTED  # the same key, sent again


def test_a_file_whose_analysis_cannot_be_asked_for_leaves_no_row(
    submission: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last event of the transaction fails: nothing of it stays, and the same key may come again."""

    def broken(analysis: Analysis, actor: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(ingest, "record_seal_of_new_study", broken)
    with pytest.raises(RuntimeError):
        take(submission, png())
    for model in (Upload, Study, Image, Analysis, AuditEvent):
        assert not model.objects.exists()
    monkeypatch.undo()
    assert take(submission, png()).outcome == Upload.Outcome.ACCEPTED


def test_without_a_bundle_the_study_stays_open_for_later(submission: Submission) -> None:
    Bundle.objects.update(is_active=False)
    upload = take(submission, png())
    assert upload.outcome == Upload.Outcome.ACCEPTED
    study = only_study()
    assert not study.is_sealed
    assert not study.analyses.exists()
    assert list(AuditEvent.objects.values_list("action", flat=True)) == [Action.IMAGE_STORED]


def test_the_same_key_again_is_the_same_upload(submission: Submission) -> None:
    first = take(submission, png())
    assert take(submission, jpeg()) == first
    assert take(submission, b"now broken") == first
    bad = take(submission, b"text", key="bad")
    assert take(submission, png(), key="bad") == bad
    assert Upload.objects.count() == 2


def test_the_same_key_through_the_endpoint(sender: Sender) -> None:
    begun = sender.begin()
    first = sender.send(begun, "a.png", png(), key="k")
    again = sender.send(begun, "a.png", png(), key="k")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


def test_a_duplicate_is_linked_not_stored_twice(
    submission: Submission, stored_files: Callable[[], set[str]]
) -> None:
    first = take(submission, png())
    again = take(submission, png(), key="other")
    elsewhere = take(make_submission(submission.clinic), png(), key="k")
    for upload in (again, elsewhere):
        assert (upload.outcome, upload.image) == (Upload.Outcome.DUPLICATE, first.image)
        assert "already here" in upload.sentence
    assert len(stored_files()) == 1
    assert Analysis.objects.count() == 1


def test_metadata_does_not_make_another_picture(submission: Submission) -> None:
    take(submission, jpeg())
    assert take(submission, jpeg(comment=b"Mustermann"), key="b").outcome == Upload.Outcome.DUPLICATE


def test_clinics_never_share_an_image(submission: Submission) -> None:
    other = make_submission(make_clinic())
    uploads = [take(submission, png()), take(other, png())]
    assert [upload.outcome for upload in uploads] == ["accepted", "accepted"]
    assert Image.objects.values("sha256").distinct().count() == 1
    assert Image.objects.values("file").distinct().count() == 2


def test_many_files_are_bulk_work(sender: Sender) -> None:
    few, many = sender.begin(20), sender.begin(21)
    assert Submission.objects.get(pk=few["id"]).queue == "interactive"
    assert Submission.objects.get(pk=many["id"]).queue == "bulk"


def test_answers_carry_the_addresses(sender: Sender) -> None:
    begun = sender.begin()
    assert begun["page"].endswith(f"/submissions/{begun['id']}/")
    stored = sender.send(begun, "a.png", png()).json()
    assert stored["study"].endswith(f"/studies/{only_study().pk}/")
    assert sender.client.post(begun["cancel"]).headers["Location"] == begun["page"]


def test_audit_tells_every_fate(submission: Submission) -> None:
    take(submission, png(), key="a")
    take(submission, png(), key="b")
    bad = take(submission, b"text", key="c")
    events = AuditEvent.objects.filter(clinic=submission.clinic)
    assert events.filter(action=Action.IMAGE_STORED).count() == 1
    assert events.filter(action=Action.UPLOAD_DUPLICATE).count() == 1
    rejected = events.get(action=Action.UPLOAD_REJECTED)
    assert (rejected.target_id, rejected.detail) == (str(bad.pk), {"kind": "not-a-picture", "size": 4})
