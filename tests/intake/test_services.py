"""From files to studies: groups, sealing, ending, calling off, and what is deleted meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from pydicom.uid import generate_uid

from tests.factories import (
    dicom,
    make_analysis,
    make_study,
    make_submission,
    png,
)
from tests.house import House, Sender, browser, only_study, take
from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.analyses.services import cancel_analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.actors import PORTAL, Actor
from xrayportal.intake import ingest, services
from xrayportal.intake.deletion import Reason, delete_study
from xrayportal.intake.ingest import SubmissionClosedError
from xrayportal.studies.models import Study, Submission, Upload
from xrayportal.web.study import views
from xrayportal.web.submissions.lists import title_of

pytestmark = pytest.mark.django_db


def test_views_of_a_dicom_study_group_and_wait_for_the_end(submission: Submission) -> None:
    uid = generate_uid()
    take(submission, dicom(study_uid=uid, shade=1), key="a")
    take(submission, dicom(study_uid=uid, shade=2, ViewPosition="LAT"), key="b")
    take(submission, dicom(study_uid=generate_uid(), shade=3), key="c")
    study = Study.objects.order_by("created_at")[0]
    assert not study.is_sealed
    assert list(study.images.values_list("view_position", flat=True)) == ["PA", "LAT"]
    assert study.patient_reference.startswith("P-")
    assert not Analysis.objects.exists()
    services.finish_submission(submission=submission, actor=Actor(submission.submitter))
    assert {study.state for study in Study.objects.all()} == {Study.State.SEALED}
    assert Analysis.objects.count() == 2


def test_one_study_uid_of_two_patients_is_two_studies(submission: Submission) -> None:
    uid = generate_uid()
    take(submission, dicom(study_uid=uid, patient_id="A"), key="a")
    take(submission, dicom(study_uid=uid, patient_id="B"), key="b")
    assert Study.objects.count() == 2


@pytest.mark.parametrize(
    ("paths", "title"),
    [
        (["Trauma Monday/a.png", "trauma monday/b/c.png"], "Trauma Monday"),
        (["./Trauma\u202e/a.png", "Trauma/b.png"], "Trauma"),
        (["Monday/a.png", "Tuesday/b.png"], "a.png and 1 more"),
        (["Monday/a.png", "b.png"], "a.png and 1 more"),
        (["../a.png", "../b.png"], "a.png and 1 more"),
        (["Monday/a.png"], "a.png"),
    ],
)
def test_a_submission_is_called_by_the_folder_of_all_its_files(
    submission: Submission, paths: list[str], title: str
) -> None:
    for number, path in enumerate(paths):
        take(submission, png(text=str(number)), key=str(number), path=path)
    services.finish_submission(submission=submission, actor=Actor(submission.submitter))
    submission.refresh_from_db()
    assert title_of(submission) == title
    for study in Study.objects.all():
        delete_study(study=study, reason=Reason.MISTAKE, actor=PORTAL)
    submission.refresh_from_db()
    assert submission.folder == "", "a folder's name may name a person"


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
    services.finish_submission(submission=submission, actor=PORTAL)
    first = only_study().analyses.get()
    Analysis.objects.filter(pk=first.pk).update(
        state="succeeded", verdict="normal", finished_at=timezone.now(), views=1
    )
    later = make_submission(submission.clinic, submission.submitter)
    take(later, png(shade=2), key="b", grouping_key="g")
    assert only_study().state == Study.State.OPEN
    services.finish_submission(submission=later, actor=PORTAL)
    assert only_study().state == Study.State.SEALED
    assert only_study().submission == submission
    assert only_study().analyses.filter(state="queued").count() == 1
    assert only_study().analyses.count() == 2


def test_a_later_view_waits_while_the_study_is_being_read(submission: Submission) -> None:
    take(submission, png(shade=1), key="a", grouping_key="g")
    study = only_study()
    running = make_analysis(study, Analysis.State.RUNNING)
    services.seal_study(study=study, actor=PORTAL)
    assert only_study().state == Study.State.OPEN
    Analysis.objects.filter(pk=running.pk).update(state="cancelled", finished_at=timezone.now())
    services.seal_study(study=study, actor=PORTAL)
    assert only_study().state == Study.State.SEALED
    assert study.analyses.filter(state="queued").count() == 1


def test_sealing_twice_is_sealing_once(submission: Submission) -> None:
    take(submission, png())
    services.seal_study(study=only_study(), actor=PORTAL)
    assert Analysis.objects.count() == 1
    assert AuditEvent.objects.filter(action=Action.STUDY_SEALED).count() == 1


def test_finishing_twice_is_finishing_once(submission: Submission) -> None:
    for _ in range(2):
        services.finish_submission(submission=submission, actor=PORTAL)
    assert AuditEvent.objects.filter(action=Action.SUBMISSION_FINISHED).count() == 1
    assert submission.state == Submission.State.FINISHED


@pytest.mark.parametrize("end", [services.finish_submission, services.cancel_submission])
def test_an_ended_submission_takes_no_more(submission: Submission, end: Callable[..., None]) -> None:
    known = take(submission, png())
    end(submission=submission, actor=PORTAL)
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
        services.cancel_submission(submission=late, actor=PORTAL)

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
    assert delete_study(study=only_study(), reason=Reason.MISTAKE, actor=PORTAL)
    services.seal_study(study=study, actor=PORTAL)
    assert cancel_analysis(analysis=analysis, actor=PORTAL) == analysis
    assert not delete_study(study=study, reason=Reason.MISTAKE, actor=PORTAL)
    assert not AuditEvent.objects.filter(action=Action.STUDY_SEALED).exists()


def test_a_study_that_is_deleted_while_a_new_analysis_is_asked_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(house.clinic)
    reader = browser(house.reader)
    reader.get(reverse("study", args=[house.clinic.slug, study.pk]))
    request = views.services.request_analysis

    def too_late(**arguments: Any) -> Analysis:
        delete_study(study=only_study(), reason=Reason.MISTAKE, actor=PORTAL)
        return request(**arguments)

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
    services.cancel_submission(submission=submission, actor=Actor(submission.submitter))
    services.cancel_submission(submission=submission, actor=Actor(submission.submitter))
    assert sorted(Analysis.objects.values_list("state", flat=True)) == ["cancelled", "succeeded"]
    assert not services.studies_due().exists()
    services.finish_submission(submission=submission, actor=PORTAL)
    assert submission.is_cancelled
    assert AuditEvent.objects.filter(action=Action.SUBMISSION_CANCELLED).count() == 1


def test_a_cancelled_picture_sent_again_is_analysed(submission: Submission) -> None:
    take(submission, png())
    services.cancel_submission(submission=submission, actor=PORTAL)
    again = make_submission(submission.clinic)
    assert take(again, png()).outcome == Upload.Outcome.DUPLICATE
    assert (only_study().submission, only_study().state) == (again, Study.State.SEALED)
    assert sorted(Analysis.objects.values_list("state", flat=True)) == ["cancelled", "queued"]


def test_without_an_active_bundle_the_study_waits(submission: Submission) -> None:
    Bundle.objects.update(is_active=False)
    assert take(submission, png()).outcome == Upload.Outcome.ACCEPTED
    services.finish_submission(submission=submission, actor=PORTAL)
    assert only_study().state == Study.State.OPEN
    assert list(services.studies_due()) == [only_study()]
    Bundle.objects.update(is_active=True)
    services.try_to_seal(study=only_study(), actor=PORTAL)
    assert only_study().state == Study.State.SEALED


def test_studies_come_due_after_a_quiet_while(submission: Submission, settings: Any) -> None:
    take(submission, png(), grouping_key="g")
    assert not services.studies_due().exists()
    quiet = timezone.now() - timedelta(seconds=settings.SEAL_AFTER_SECONDS + 1)
    Study.objects.update(last_view_at=quiet)
    assert list(services.studies_due()) == [only_study()]
