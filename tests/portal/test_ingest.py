"""From files to studies: order of writing, duplicates, keys, groups, sealing, calling off, races."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import connection, connections
from django.urls import reverse
from django.utils import timezone
from pydicom.uid import generate_uid

from tests.factories import (
    dicom,
    jpeg,
    make_analysis,
    make_bundle,
    make_clinic,
    make_study,
    make_submission,
    png,
)
from tests.portal.conftest import House, Sender, browser
from xrayportal.analyses import views
from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.analyses.services import cancel_analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import verify
from xrayportal.studies import ingest, services
from xrayportal.studies.deletion import Reason, delete_study
from xrayportal.studies.ingest import SubmissionClosedError, ingest_file
from xrayportal.studies.models import Image, Study, Submission, Upload

pytestmark = pytest.mark.django_db


def take(submission: Submission, content: bytes, key: str = "k", **said: Any) -> Upload:
    fields = {"filename": f"{key}.bin", "actor": submission.submitter, "address": "192.0.2.1", **said}
    return ingest_file(submission=submission, key=key, file=BytesIO(content), **fields)


@pytest.fixture
def submission(db: None) -> Submission:
    make_bundle()
    return make_submission(make_clinic())


def only_study() -> Study:
    return Study.objects.get()


def test_one_picture_is_a_sealed_study_with_an_analysis_at_once(submission: Submission) -> None:
    upload = take(submission, png(), patient_reference="R-17", stated_part="wrist", priority=3)
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


def test_views_of_a_dicom_study_group_and_wait_for_the_end(submission: Submission) -> None:
    uid = generate_uid()
    take(submission, dicom(study_uid=uid, shade=1), key="a")
    take(submission, dicom(study_uid=uid, shade=2, ViewPosition="LAT"), key="b")
    take(submission, dicom(study_uid=generate_uid(), shade=3), key="c")
    study = Study.objects.order_by("created_at")[0]
    assert study.state == Study.State.OPEN
    assert list(study.images.values_list("view_position", flat=True)) == ["PA", "LAT"]
    assert study.patient_reference.startswith("P-")
    assert not Analysis.objects.exists()
    services.finish_submission(submission=submission, actor=submission.submitter, address=None)
    assert {study.state for study in Study.objects.all()} == {Study.State.SEALED}
    assert Analysis.objects.count() == 2


def test_one_study_uid_of_two_patients_is_two_studies(submission: Submission) -> None:
    uid = generate_uid()
    take(submission, dicom(study_uid=uid, patient_id="A"), key="a")
    take(submission, dicom(study_uid=uid, patient_id="B"), key="b")
    assert Study.objects.count() == 2


def test_a_dicom_file_without_a_study_is_one_of_its_own(submission: Submission) -> None:
    take(submission, dicom(without=("StudyInstanceUID",)))
    assert only_study().state == Study.State.SEALED


def test_pictures_group_by_the_senders_key(submission: Submission) -> None:
    take(submission, png(shade=1), key="a", grouping_key="folder-1")
    take(submission, png(shade=2), key="b", grouping_key="folder-1", patient_reference="R-1")
    assert (only_study().state, only_study().images.count()) == (Study.State.OPEN, 2)
    assert only_study().patient_reference == "R-1"


def test_a_later_view_means_a_new_analysis(submission: Submission) -> None:
    take(submission, png(shade=1), key="a", grouping_key="g")
    services.finish_submission(submission=submission, actor=None, address=None)
    first = only_study().analyses.get()
    Analysis.objects.filter(pk=first.pk).update(
        state="succeeded", verdict="normal", finished_at=timezone.now(), views=1
    )
    later = make_submission(submission.clinic)
    take(later, png(shade=2), key="b", grouping_key="g")
    assert only_study().state == Study.State.OPEN
    services.finish_submission(submission=later, actor=None, address=None)
    assert only_study().state == Study.State.SEALED
    assert only_study().submission == submission
    assert only_study().analyses.filter(state="queued").count() == 1
    assert only_study().analyses.count() == 2


def test_a_later_view_waits_while_the_study_is_being_read(submission: Submission) -> None:
    take(submission, png(shade=1), key="a", grouping_key="g")
    study = only_study()
    running = make_analysis(study, Analysis.State.RUNNING)
    services.seal_study(study=study, actor=None)
    assert only_study().state == Study.State.OPEN
    Analysis.objects.filter(pk=running.pk).update(state="cancelled", finished_at=timezone.now())
    services.seal_study(study=study, actor=None)
    assert only_study().state == Study.State.SEALED
    assert study.analyses.filter(state="queued").count() == 1


def test_sealing_twice_is_sealing_once(submission: Submission) -> None:
    take(submission, png())
    services.seal_study(study=only_study(), actor=None)
    assert Analysis.objects.count() == 1
    assert AuditEvent.objects.filter(action=Action.STUDY_SEALED).count() == 1


def test_finishing_twice_is_finishing_once(submission: Submission) -> None:
    for _ in range(2):
        services.finish_submission(submission=submission, actor=None, address=None)
    assert AuditEvent.objects.filter(action=Action.SUBMISSION_FINISHED).count() == 1
    assert submission.state == Submission.State.FINISHED


@pytest.mark.parametrize("end", [services.finish_submission, services.cancel_submission])
def test_an_ended_submission_takes_no_more(submission: Submission, end: Callable[..., None]) -> None:
    known = take(submission, png())
    end(submission=submission, actor=None, address=None)
    assert take(submission, png()) == known  # a repeated request is still answered
    with pytest.raises(SubmissionClosedError, match="Start a new one"):
        take(submission, png(shade=9), key="late")


def test_a_file_that_came_too_late_leaves_nothing(
    submission: Submission, monkeypatch: pytest.MonkeyPatch, stored_files: Callable[[], set[str]]
) -> None:
    """Called off between the look and the row; a picture that is known stays, of course."""
    kept = take(submission, png())
    write = ingest.write_durably

    def write_and_cancel(name: str, content: bytes) -> None:
        write(name, content)
        services.cancel_submission(submission=late, actor=None, address=None)

    monkeypatch.setattr(ingest, "write_durably", write_and_cancel)
    for content in (png(), png(shade=9)):
        late = make_submission(submission.clinic)
        with pytest.raises(SubmissionClosedError):
            take(late, content)
    assert kept.image is not None
    assert stored_files() == {kept.image.file}


def test_what_was_deleted_meanwhile_is_neither_sealed_nor_called_off(submission: Submission) -> None:
    """Two people at once: no error for the slower one."""
    take(submission, dicom())
    study = only_study()
    analysis = make_analysis(study, Analysis.State.QUEUED)
    assert delete_study(study=only_study(), reason=Reason.MISTAKE, actor=None, address=None)
    services.seal_study(study=study, actor=None)
    assert cancel_analysis(analysis=analysis, actor=None, address=None) == analysis
    assert not delete_study(study=study, reason=Reason.MISTAKE, actor=None, address=None)
    assert not AuditEvent.objects.filter(action=Action.STUDY_SEALED).exists()


def test_a_study_that_is_deleted_while_a_new_analysis_is_asked_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(house.clinic)
    reader = browser(house.reader)
    reader.get(reverse("study", args=[house.clinic.slug, study.pk]))
    request = views.services.request_analysis

    def too_late(**said: Any) -> Analysis:
        delete_study(study=only_study(), reason=Reason.MISTAKE, actor=None, address=None)
        return request(**said)

    monkeypatch.setattr(views.services, "request_analysis", too_late)
    answer = reader.post(reverse("analysis-request", args=[house.clinic.slug, study.pk]))
    assert answer.status_code == 302
    assert answer.headers["Location"] == reverse("worklist", args=[house.clinic.slug])


def test_an_ended_submission_answers_409(sender: Sender) -> None:
    begun = sender.begin()
    sender.finish(begun)
    response = sender.send(begun, "late.png", png())
    assert response.status_code == 409
    assert response.json()["sentence"].startswith("This submission is finished.")


def test_cancel_stops_what_waits_and_keeps_what_is_done(submission: Submission) -> None:
    take(submission, png(shade=1), key="a")
    take(submission, png(shade=2), key="b")
    take(submission, png(shade=3), key="c", grouping_key="open")
    done = Analysis.objects.all()[0]
    Analysis.objects.filter(pk=done.pk).update(
        state="succeeded", verdict="normal", finished_at=timezone.now()
    )
    services.cancel_submission(submission=submission, actor=submission.submitter, address=None)
    services.cancel_submission(submission=submission, actor=submission.submitter, address=None)
    assert sorted(Analysis.objects.values_list("state", flat=True)) == ["cancelled", "succeeded"]
    assert not services.studies_due().exists()
    services.finish_submission(submission=submission, actor=None, address=None)
    assert submission.state == Submission.State.CANCELLED
    assert AuditEvent.objects.filter(action=Action.SUBMISSION_CANCELLED).count() == 1


def test_a_cancelled_picture_sent_again_is_analysed(submission: Submission) -> None:
    take(submission, png())
    services.cancel_submission(submission=submission, actor=None, address=None)
    again = make_submission(submission.clinic)
    assert take(again, png()).outcome == Upload.Outcome.DUPLICATE
    assert (only_study().submission, only_study().state) == (again, Study.State.SEALED)
    assert sorted(Analysis.objects.values_list("state", flat=True)) == ["cancelled", "queued"]


def test_without_an_active_bundle_the_study_waits(submission: Submission) -> None:
    Bundle.objects.update(is_active=False)
    assert take(submission, png()).outcome == Upload.Outcome.ACCEPTED
    services.finish_submission(submission=submission, actor=None, address=None)
    assert only_study().state == Study.State.OPEN
    assert list(services.studies_due()) == [only_study()]
    Bundle.objects.update(is_active=True)
    services.try_to_seal(study=only_study(), actor=None)
    assert only_study().state == Study.State.SEALED


def test_studies_come_due_after_a_quiet_while(submission: Submission, settings: Any) -> None:
    take(submission, png(), grouping_key="g")
    assert not services.studies_due().exists()
    quiet = timezone.now() - timedelta(seconds=settings.SEAL_AFTER_SECONDS + 1)
    Study.objects.update(last_view_at=quiet)
    assert list(services.studies_due()) == [only_study()]


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


def at_once(functions: list[Callable[[], Any]]) -> list[Any]:
    """Call each in a thread and connection of its own."""

    def run(function: Callable[[], Any]) -> Any:
        try:
            return function()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(run, functions))


@pytest.mark.django_db(transaction=True)
class TestRaces:
    """Real threads on a real database."""

    def test_identical_files_at_once_are_one_image(self) -> None:
        make_bundle()
        clinic = make_clinic()
        submissions = [make_submission(clinic) for _ in range(6)]
        uploads = at_once([lambda s=s: take(s, png()) for s in submissions])  # type: ignore[misc]
        assert sorted(upload.outcome for upload in uploads) == ["accepted"] + ["duplicate"] * 5
        assert (Image.objects.count(), Study.objects.count(), Analysis.objects.count()) == (1, 1, 1)
        assert verify(clinic=clinic).is_whole

    def test_one_key_at_once_is_one_upload(self) -> None:
        make_bundle()
        submission = make_submission(make_clinic())
        uploads = at_once([lambda: take(submission, png()) for _ in range(6)])
        assert len({upload.pk for upload in uploads}) == 1
        assert Upload.objects.count() == 1

    def test_first_views_of_a_study_at_once_are_one_study(self) -> None:
        make_bundle()
        clinic, uid = make_clinic(), generate_uid()
        files = [dicom(study_uid=uid, shade=shade) for shade in range(6)]
        submissions = [make_submission(clinic) for _ in files]
        at_once([lambda s=s, f=f: take(s, f) for s, f in zip(submissions, files, strict=True)])  # type: ignore[misc]
        assert (Study.objects.count(), Image.objects.count()) == (1, 6)

    def test_files_and_the_end_at_once(self) -> None:
        make_bundle()
        submission = make_submission(make_clinic())

        def send(number: int) -> str:
            try:
                return take(
                    submission, png(shade=number), key=f"k{number}", grouping_key=f"g{number % 2}"
                ).outcome
            except SubmissionClosedError:
                return "closed"

        def end() -> str:
            services.finish_submission(submission=submission, actor=None, address=None)
            return "ended"

        outcomes = at_once([*(lambda n=n: send(n) for n in range(6)), end])  # type: ignore[misc]
        assert set(outcomes) <= {"accepted", "closed", "ended"}
        assert Upload.objects.count() == outcomes.count("accepted")
        for study in services.studies_due():
            services.try_to_seal(study=study, actor=None)
        assert not Study.objects.filter(state=Study.State.OPEN).exists()
        assert verify(clinic=submission.clinic).is_whole

    def test_no_lock_is_left_behind(self) -> None:
        make_bundle()
        submission = make_submission(make_clinic())
        take(submission, png())
        take(submission, b"text", key="bad")
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            assert cursor.fetchone() == (0,)


def test_audit_tells_every_fate(submission: Submission) -> None:
    take(submission, png(), key="a")
    take(submission, png(), key="b")
    bad = take(submission, b"text", key="c")
    events = AuditEvent.objects.filter(clinic=submission.clinic)
    assert events.filter(action=Action.IMAGE_STORED).count() == 1
    assert events.filter(action=Action.UPLOAD_DUPLICATE).count() == 1
    rejected = events.get(action=Action.UPLOAD_REJECTED)
    assert (rejected.target_id, rejected.detail) == (str(bad.pk), {"kind": "not-a-picture", "size": 4})
