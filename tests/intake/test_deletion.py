"""A study goes with all that is its own, and nobody who had it open meets an error."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_analysis, make_clinic, make_study, make_submission, png
from tests.house import House, browser
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.analyses.queue.steps import fail
from xrayportal.audit.models import AuditEvent
from xrayportal.audit.services import verify
from xrayportal.clinics.actors import PORTAL, Actor
from xrayportal.clinics.models import Clinic, Session, User
from xrayportal.clinics.sessions import hashed
from xrayportal.intake import retention
from xrayportal.intake.deletion import REASONS, Reason, delete_study
from xrayportal.intake.ingest import IncomingFile, ingest_file
from xrayportal.intake.retention import apply_retention
from xrayportal.intake.services import cancel_submission
from xrayportal.operations.reconciler import Reconciler
from xrayportal.reviews.models import Review
from xrayportal.studies.models import Image, Study, Submission, Upload
from xrayportal.worklist.models import StudyViewed

Captured = Any
HTMX = {"HX-Request": "true"}


def address(name: str, study: Study) -> str:
    return reverse(name, args=[study.clinic.slug, study.pk])


def message_of(response: Any) -> str:
    return [str(message) for message in get_messages(response.wsgi_request)][-1]


def _named(where: str) -> tuple[Any, str]:
    """The module and the name in it."""
    module, _, name = where.rpartition(".")
    return importlib.import_module(module), name


def delete(study: Study, user: User | None = None) -> bool:
    return delete_study(study=study, reason=Reason.MISTAKE, actor=Actor(user))


@pytest.fixture
def study(house: House) -> Study:
    submission = make_submission(house.clinic, house.uploader, state="finished", labels={"a.png": {}})
    study = make_study(house.clinic, submission, views=2)
    make_analysis(study)
    return study


def test_everything_of_the_study_goes_but_the_audit(
    house: House,
    stored_files: Callable[[], set[str]],
    study: Study,
    django_capture_on_commit_callbacks: Captured,
) -> None:
    Review.objects.create(
        clinic=house.clinic,
        study=study,
        reader=house.reader,
        kind="first",
        was_blind=False,
        analysis=study.current,
        verdict="normal",
    )
    assert stored_files()
    browser(house.reader).get(address("study", study))
    with django_capture_on_commit_callbacks(execute=True):
        response = browser(house.admin).post(address("study-delete", study), {"reason": "mistake"})
    assert response.status_code == 302
    for model in (Study, Image, Upload, Analysis, Finding, Review):
        assert not model.objects.exists()
    assert stored_files() == set()
    assert Submission.objects.get().labels == {}
    events = AuditEvent.objects.filter(study_id=study.pk).order_by("id")
    assert [event.action for event in events] == ["study-viewed", "study-deleted"]
    assert events[1].detail == {
        "reason": "mistake",
        "images": 2,
        "submission": str(Submission.objects.get().pk),
    }
    assert verify(clinic=house.clinic).is_whole


def test_files_stay_until_the_commit_and_where_another_row_names_them(
    house: House, django_capture_on_commit_callbacks: Captured
) -> None:
    content = png(text="same picture")
    study = make_study(house.clinic, content=content)
    elsewhere = make_study(make_clinic(), content=content)
    name, other = study.images.get().file, elsewhere.images.get().file
    with django_capture_on_commit_callbacks() as callbacks:
        delete(study)
    assert default_storage.exists(name)
    # Between the commit and the removal somebody sends the same picture again.
    again = make_study(house.clinic, content=content)
    for callback in callbacks:
        callback()
    assert default_storage.exists(name)
    with django_capture_on_commit_callbacks(execute=True):
        delete(again)
    assert not default_storage.exists(name)
    assert default_storage.exists(other)


def test_files_that_rows_share_under_a_name_of_their_own_stay(
    house: House, study: Study, django_capture_on_commit_callbacks: Captured
) -> None:
    shared = f"clinics/{house.clinic.pk}/seeded/display.png"
    default_storage.save(shared, ContentFile(png()))
    study.images.update(file=shared)
    Finding.objects.update(display_file=shared)
    with django_capture_on_commit_callbacks(execute=True):
        delete(study)
    assert default_storage.exists(shared)


def test_a_file_that_cannot_be_removed_does_not_bring_the_study_back(
    study: Study,
    django_capture_on_commit_callbacks: Captured,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(name: str) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(default_storage, "delete", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        assert delete(study)
    assert not Study.objects.exists()
    assert "of a deleted study" in caplog.text


def test_a_worker_that_reads_it_changes_nothing(study: Study) -> None:
    claim = make_analysis(study, "running")
    delete(study)
    assert fail(claim=claim, kind="late", sentence="Late.", permanent=True) is False
    actions = list(AuditEvent.objects.order_by("id").values_list("action", flat=True))
    assert actions[-2:] == ["analysis-cancelled", "study-deleted"]
    assert delete(study) is False


def test_other_studies_of_the_submission_keep_their_files(house: House, study: Study) -> None:
    sibling = make_study(house.clinic, study.submission)
    delete(study)
    assert Upload.objects.get().image == sibling.images.get()
    assert Submission.objects.get(pk=study.submission_id).labels


def test_the_same_picture_can_be_sent_again(house: House) -> None:
    content = png(text="again")
    study = make_study(house.clinic, content=content)
    delete(study)
    submission = make_submission(house.clinic, house.uploader)
    upload = ingest_file(
        IncomingFile(submission=submission, key="1", actor=Actor(house.uploader), path="again.png"),
        ContentFile(content),
    )
    assert upload.outcome == Upload.Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("who", "status"),
    [("admin", 302), ("reader", 404), ("uploader", 404), ("stranger", 404), ("superuser", 404)],
)
def test_only_admins_delete(house: House, study: Study, who: str, status: int) -> None:
    """What was sent over an hour ago; its sender may take it back before."""
    Study.objects.update(created_at=study.created_at - timedelta(hours=2))
    response = browser(getattr(house, who)).post(address("study-delete", study), {"reason": "other"})
    assert response.status_code == status
    assert Study.objects.exists() is (status == 404)


@pytest.mark.parametrize("reason", ["", "nonsense", Reason.RETENTION.value])
def test_a_reason_is_asked(house: House, study: Study, reason: str) -> None:
    client = browser(house.admin)
    response = client.post(address("study-delete", study), {"reason": reason})
    assert message_of(response) == "Choose why the study is deleted."
    assert Study.objects.exists()
    assert dict(REASONS).keys() >= {"mistake", "wrong-patient", "request", "other"}


def test_who_had_it_open_reads_one_sentence(house: House, study: Study) -> None:
    client = browser(house.reader)
    client.get(address("study", study))
    delete(study)
    for name in ("study-result", "study-history", "review"):
        response = client.get(address(name, study), headers=HTMX)
        page = response.content.decode()
        assert response.status_code == 200, name
        assert "This study was deleted while you had it open." in page
        assert "every 1s" not in page
    signed = client.post(address("review-sign", study), {"verdict": "normal"}, headers=HTMX)
    assert "This study was deleted while you had it open." in signed.content.decode()
    for response in (
        client.get(address("study", study)),
        client.post(address("analysis-request", study)),
        client.get(address("report", study)),
    ):
        assert response.headers["Location"] == reverse("worklist", args=[house.clinic.slug])
        assert message_of(response) == "This study was deleted."


@pytest.mark.parametrize("who", ["colleague", "stranger", "admin"])
def test_who_never_saw_it_gets_the_404_of_a_missing_row(house: House, study: Study, who: str) -> None:
    browser(house.reader).get(address("study", study))
    delete(study)
    client = browser(getattr(house, who))
    missing = reverse("study-result", args=[house.clinic.slug, uuid.uuid4()])
    assert client.get(address("study-result", study), headers=HTMX).status_code == 404
    assert client.get(missing, headers=HTMX).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_what_vanishes_while_one_acts_on_it_is_a_sentence(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted between the view's look and its change: at the last thing before the change."""
    slug = house.clinic.slug
    submission = make_submission(house.clinic, house.reader, state="finished")
    last, reader = make_study(house.clinic, submission), browser(house.reader)

    def lost(where: str) -> tuple[Study, Analysis]:
        """A study that goes as soon as ``where`` is called."""
        study, real = make_study(house.clinic, submission), getattr(*_named(where))
        failed = make_analysis(study, "failed")

        def first_delete(*arguments: Any, **fields: Any) -> Any:
            delete(study)
            return real(*arguments, **fields)

        monkeypatch.setattr(where, first_delete)
        return study, failed

    bulk_action = reverse("worklist-bulk-action", args=[slug])
    for action, where in (("read", "services._mark"), ("unread", "services._unmark")):
        study, _failed = lost(f"xrayportal.worklist.{where}")
        ids = [study.pk, last.pk]
        assert reader.post(bulk_action, {"action": action, "study": ids}).status_code == 302, action
        assert StudyViewed.objects.filter(study=last, user=house.reader).exists() == (action == "read")
        monkeypatch.undo()

    asks = "xrayportal.analyses.services.active_bundle"
    study, failed = lost(asks)
    answer = reader.post(bulk_action, {"action": "analyse", "study": [study.pk, last.pk]})
    assert message_of(answer) == "1 study will be analysed again. 1 study was deleted in the meantime."
    for action in ("analyse", "delete"):  # it is gone already
        answer = browser(house.admin).post(bulk_action, {"action": action, "study": [study.pk]})
        assert message_of(answer) == "1 study was deleted in the meantime."
    monkeypatch.undo()
    lost(asks)
    assert message_of(reader.post(reverse("submission-retry", args=[slug, submission.pk]))) == (
        "1 study was deleted in the meantime."
    )
    monkeypatch.undo()
    study, failed = lost(asks)
    reader.get(address("study", study))
    assert message_of(reader.post(address("analysis-request", study))) == "This study was deleted."
    cancel = reverse("analysis-cancel", args=[slug, failed.pk])
    assert message_of(reader.post(cancel, {"study": study.pk})) == "This study was deleted."
    assert browser(house.stranger).post(cancel, {"study": study.pk}).status_code == 404
    for again in (
        address("adjudicator", study),
        reverse("operations-retry", args=[failed.pk]),
        reverse("clinic-operations-retry", args=[slug, failed.pk]),
    ):
        person = browser(house.superuser if again.startswith("/operations") else house.admin)
        assert message_of(person.post(again, {"study": study.pk})) == "This study was deleted.", again
        assert person.post(again.replace(str(study.pk), str(uuid.uuid4()))).status_code == 404


def aged(clinic: Clinic, days: int, **fields: Any) -> Study:
    study = make_study(clinic, **fields)
    Study.objects.filter(pk=study.pk).update(created_at=timezone.now() - timedelta(days=days))
    return study


@pytest.fixture
def forgetful(house: House) -> Clinic:
    house.clinic.retention_days = 30
    house.clinic.save()
    return house.clinic


def test_retention_takes_what_is_older_and_nothing_else(forgetful: Clinic) -> None:
    old, recent = aged(forgetful, 31), aged(forgetful, 29)
    receiving, elsewhere = aged(forgetful, 40, state="open"), aged(make_clinic(), 400)
    assert apply_retention(dry_run=True) == 1
    assert apply_retention() == 1
    assert set(Study.objects.all()) == {recent, receiving, elsewhere}
    event = AuditEvent.objects.get(study_id=old.pk)
    assert (event.action, event.actor_label, event.detail["reason"]) == (
        "study-deleted",
        "portal",
        "retention",
    )


def test_a_study_that_cannot_be_deleted_keeps_no_other(
    forgetful: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, old = aged(forgetful, 32), aged(forgetful, 31)

    def delete_but_one(*, study: Study, reason: Reason, actor: Actor) -> bool:
        if study.pk == broken.pk:
            raise ValueError("a bug")
        return delete_study(study=study, reason=reason, actor=actor)

    monkeypatch.setattr(retention, "delete_study", delete_but_one)
    assert apply_retention() == 1
    assert set(Study.objects.all()) == {broken}
    assert not Study.objects.filter(pk=old.pk).exists()


def test_retention_takes_what_a_cancelled_submission_left_open(
    forgetful: Clinic, django_capture_on_commit_callbacks: Captured
) -> None:
    """Its pictures are stored, but nobody seals its studies any more."""
    submission = make_submission(forgetful)
    left = aged(forgetful, 31, submission=submission, state="open")
    file = left.images.get().file
    cancel_submission(submission=submission, actor=PORTAL)
    with django_capture_on_commit_callbacks(execute=True):
        assert apply_retention() == 1
    assert not Study.objects.filter(pk=left.pk).exists()
    assert not Upload.objects.filter(submission=submission).exists()
    assert not default_storage.exists(file)


def test_retention_forgets_names_of_files_that_made_no_study(forgetful: Clinic) -> None:
    submission = make_submission(forgetful, state="cancelled", labels={"Mueller.png": {}})
    Upload.objects.create(
        submission=submission, key="1", filename="Mueller.txt", outcome="rejected", sentence="No."
    )
    Submission.objects.update(created_at=timezone.now() - timedelta(days=31))
    apply_retention()
    submission.refresh_from_db()
    assert submission.labels == {}
    assert not submission.uploads.exists()


def test_retention_command_counts(forgetful: Clinic, capsys: pytest.CaptureFixture[str]) -> None:
    aged(forgetful, 31)
    call_command("apply_retention", "--dry-run")
    call_command("apply_retention")
    assert capsys.readouterr().out == "1 studies would be deleted.\n1 studies were deleted.\n"


@pytest.mark.django_db(transaction=True)
def test_reconciler_applies_it_once_a_day(forgetful: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xrayportal.operations.reconciler._RETAINED_PER_ROUND", 1)
    aged(forgetful, 31)
    aged(forgetful, 32)
    for key, hours in (("over", -1), ("lasting", 1)):
        Session.objects.create(session_key=hashed(key), expire_date=timezone.now() + timedelta(hours=hours))
    reconciler = Reconciler()
    for left in (1, 0, 0):
        assert reconciler.round()
        assert Study.objects.count() == left
    assert Session.objects.get().session_key == hashed("lasting")
    aged(forgetful, 33)
    assert reconciler.round()
    assert Study.objects.count() == 1
