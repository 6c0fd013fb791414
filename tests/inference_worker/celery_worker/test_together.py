"""Results that are stored together: one transaction, and still each by itself where one of them cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import OperationalError
from pytest_django.fixtures import Settings

from inference_worker.celery_worker import batch, files
from inference_worker.celery_worker import study as study_module
from inference_worker.celery_worker import worker as worker_module
from inference_worker.celery_worker.worker import InferenceWorker
from inference_worker.pipeline import Pipeline
from inference_worker.verdict import judge_study
from tests.inference_worker.celery_worker.studies import picture, study_of
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.analyses.queue import steps
from xrayportal.analyses.queue.claims import has_due
from xrayportal.analyses.results import AnalysisResult
from xrayportal.analyses.services import cancel_analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import verify
from xrayportal.clinics.actors import PORTAL
from xrayportal.intake.deletion import Reason, delete_study
from xrayportal.studies.models import Study
from xrayportal.studies.storage import StorageUnavailableError, write_durably

pytestmark = pytest.mark.django_db

Finished = Sequence[tuple[Analysis, AnalysisResult]]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, results wait for each other, and a batch for the next claim."""
    monkeypatch.setattr(batch, "_LONGEST_KEPT", 60.0)
    monkeypatch.setattr(worker_module, "_GOES_ON_SECONDS", 60.0)


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[list[Study]]:
    """The studies whose results were written together, group by group; single ones are groups of one."""
    seen: list[list[Study]] = []
    complete, complete_all = steps.complete, steps.complete_all

    def one(*, claim: Analysis, result: AnalysisResult) -> bool:
        seen.append([claim.study])
        return complete(claim=claim, result=result)

    def several(finished: Finished) -> Any:
        seen.append([claim.study for claim, _ in finished])
        return complete_all(finished)

    monkeypatch.setattr(steps, "complete", one)
    monkeypatch.setattr(steps, "complete_all", several)
    return seen


def state_of(study: Study) -> tuple[str, int]:
    """The state of the study's analysis, and how many findings it has."""
    row = Analysis.objects.get(study=study)
    return row.state, row.findings.count()


def test_studies_of_two_clinics_are_stored_at_once(
    worker: InferenceWorker, groups: list[list[Study]]
) -> None:
    studies = [study_of(picture(0)), study_of(picture(1)), study_of(picture(2), picture(3))]
    worker.work()
    assert [set(group) for group in groups] == [set(studies)]
    assert [state_of(study) for study in studies] == [("succeeded", 1), ("succeeded", 1), ("succeeded", 2)]
    for study in studies:
        study.refresh_from_db()
        assert study.current == Analysis.objects.get(study=study)
        assert study.result_verdict == "unsupported"
        assert verify(clinic=study.clinic).is_whole
        done = AuditEvent.objects.get(study_id=study.pk, action=Action.ANALYSIS_SUCCEEDED)
        assert (done.actor_label, done.clinic_id) == (worker.row.name, study.clinic_id)


@pytest.mark.parametrize("late", ["called off", "taken over", "deleted"])
def test_one_that_is_not_wanted_any_more_is_left_out_with_its_files(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    good, bad, other = (study_of(picture(number)) for number in range(3))
    complete_all, written = steps.complete_all, {}

    def too_late(finished: Finished) -> Any:
        written.update({claim.study_id: result.views[0].display_file for claim, result in finished})
        if late == "called off":
            cancel_analysis(analysis=Analysis.objects.get(study=bad), actor=PORTAL)
        elif late == "taken over":
            Analysis.objects.filter(study=bad).update(attempt=2)
        else:
            delete_study(study=bad, reason=Reason.REQUEST, actor=PORTAL)
        return complete_all(finished)

    monkeypatch.setattr(steps, "complete_all", too_late)
    worker.work()
    assert state_of(good) == state_of(other) == ("succeeded", 1)
    assert {study for study, name in written.items() if default_storage.exists(name)} == {good.pk, other.pk}
    rows = Analysis.objects.filter(study=bad)
    expected = {"called off": ["cancelled"], "taken over": ["running"], "deleted": []}[late]
    assert list(rows.values_list("state", flat=True)) == expected
    assert Finding.objects.count() == 2


def test_one_that_the_database_refuses_ends_alone(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad, other = study_of(picture(0)), study_of(picture(1), picture(2)), study_of(picture(3))

    def not_a_number(views: Any, **options: Any) -> Any:
        judged = judge_study(views, **options)
        return replace(judged, body_parts={"wrist": float("nan")}) if len(views) == 2 else judged

    monkeypatch.setattr(study_module, "judge_study", not_a_number)
    worker.work()
    assert state_of(good) == state_of(other) == ("succeeded", 1)
    row = Analysis.objects.get(study=bad)
    assert (row.state, row.crashes_alone) == ("queued", 0)
    assert "3 results cannot be stored together: ValueError" in caplog.text
    while has_due():
        worker.work()
    row.refresh_from_db()
    assert (row.state, row.error_kind, row.crashes_alone) == ("failed", "unexpected", steps.CRASHES_ALONE)
    for study in (good, bad, other):
        assert verify(clinic=study.clinic).is_whole


def test_one_whose_files_cannot_be_written_waits_alone(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad, other = (study_of(picture(number)) for number in range(3))
    row = Analysis.objects.get(study=bad)

    def write(name: str, content: bytes) -> None:
        if str(row.pk) in name and name.endswith("thumbnail.jpg"):
            raise StorageUnavailableError("full")
        write_durably(name, content)

    monkeypatch.setattr(files, "write_durably", write)
    worker.work()
    assert state_of(good) == state_of(other) == ("succeeded", 1)
    assert state_of(bad) == ("queued", 0)
    event = AuditEvent.objects.get(study_id=bad.pk, action=Action.ANALYSIS_REQUEUED)
    assert event.detail == {"attempt": 1, "kind": "storage"}


def test_with_the_database_away_nothing_is_tried_twice_and_no_file_goes(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction may have been written all the same: then its rows name these files."""
    written: list[str] = []

    def away(finished: Finished) -> Any:
        written.extend(result.views[0].display_file for _, result in finished)
        raise OperationalError("gone")

    monkeypatch.setattr(steps, "complete_all", away)
    monkeypatch.setattr(batch.connection, "close", lambda: None)  # the test's transaction lives in it
    studies = [study_of(picture(number)) for number in range(2)]
    worker.work()
    assert [state_of(study) for study in studies] == [("running", 0)] * 2
    assert [default_storage.exists(name) for name in written] == [True] * 2


def test_a_group_has_an_end(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch, groups: list[list[Study]]
) -> None:
    """By the number of views, and by time: then each is stored when the next one's turn comes."""
    monkeypatch.setattr(batch, "_MOST_TOGETHER", 2)
    for number in range(3):
        study_of(picture(number))
    worker.work()
    assert [len(group) for group in groups] == [2, 1]
    groups.clear()
    monkeypatch.setattr(batch, "_LONGEST_KEPT", -1.0)
    for number in range(3, 6):
        study_of(picture(number))
    worker.work()
    assert [len(group) for group in groups] == [1, 1, 1]


def test_a_full_claim_is_followed_by_the_next_one_before_it_has_ended(
    worker: InferenceWorker, groups: list[list[Study]], settings: Settings
) -> None:
    settings.XRAY_BATCH = 2
    studies = [study_of(picture(number)) for number in range(6)]
    worker.work()
    assert {state_of(study) for study in studies} == {("succeeded", 1)}
    assert [len(group) for group in groups] == [6]


def test_what_may_have_killed_its_worker_runs_beside_nothing(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch, settings: Settings, groups: list[list[Study]]
) -> None:
    settings.XRAY_BATCH = 2
    studies = [study_of(picture(number)) for number in range(3)]
    Analysis.objects.filter(study=studies[2]).update(attempt=1)
    runs: list[int] = []
    outcomes = Pipeline.outcomes

    def counted(self: Pipeline, jobs: Any) -> Any:
        runs.append(0)
        for outcome in outcomes(self, jobs):
            runs[-1] += 1
            yield outcome

    monkeypatch.setattr(Pipeline, "outcomes", counted)
    worker.work()
    assert {state_of(study) for study in studies} == {("succeeded", 1)}
    assert runs == [2, 1]
    assert [len(group) for group in groups] == [2, 1]
