"""The worker's way with a claim: real files, the released bundle, and what can go wrong around them."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import OperationalError
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from inference_worker.celery_worker import tasks
from inference_worker.celery_worker.tasks import InferenceWorker
from inference_worker.decode import isolated
from inference_worker.types import UnreadableError
from inference_worker.verdict import judge_study
from tests.factories import make_image, make_study, make_submission, png
from tests.inference_worker.drawing import encoded
from tests.live.pictures import pictures
from tests.measured import with_measures
from xrayportal.analyses.bundles import register_bundle
from xrayportal.analyses.models import Analysis, Bundle, Finding, Worker
from xrayportal.analyses.queue import steps
from xrayportal.analyses.queue.claims import has_due
from xrayportal.analyses.results import AnalysisResult
from xrayportal.analyses.services import cancel_analysis, request_analysis
from xrayportal.clinics.actors import COMMAND_LINE, PORTAL
from xrayportal.intake.deletion import Reason, delete_study
from xrayportal.studies.models import Study

pytestmark = pytest.mark.django_db

BROKEN = b"\x89PNG\r\n\x1a\n and then nothing"


@pytest.fixture(scope="module")
def worker() -> Iterator[InferenceWorker]:
    """One worker child for all tests here: loading the network takes a second."""
    worker = InferenceWorker()
    yield worker
    worker.decoder.end()


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> Iterator[InferenceWorker]:
    """A worker whose decoder hangs on marked files, and waits for a second."""
    monkeypatch.setattr(isolated, "CHILD", "tests.inference_worker.strange_child")
    monkeypatch.setattr(settings, "DECODE_SECONDS", 1.0)
    worker = InferenceWorker()
    yield worker
    worker.decoder.end()


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The released bundle is active; nobody is woken."""
    register_bundle(folder="fracatlas-lite0", activate=True, actor=COMMAND_LINE)
    monkeypatch.setattr(tasks, "wake_workers", lambda: True)
    return


def study_of(*contents: bytes, **fields: Any) -> Study:
    """A sealed study with a view of each content, and its requested analysis."""
    study = make_study(views=0, **fields)
    for content in contents:
        make_image(study, content)
    request_analysis(study=study)
    return study


def content_of(name: str) -> bytes:
    """A stored file."""
    with default_storage.open(name) as file:
        content: bytes = file.read()
    return content


def picture(number: int = 0) -> bytes:
    """A drawing that the pipeline can decode; out of distribution."""
    return list(pictures(number + 1, {}))[number].getvalue()


def test_a_study_is_analysed_and_its_files_lie_where_its_rows_say(worker: InferenceWorker) -> None:
    study = study_of(picture(0), picture(1))
    worker.work()
    row = Analysis.objects.get(study=study)
    assert (row.state, row.verdict, row.views, row.software) == (
        "succeeded",
        "unsupported",
        2,
        settings.VERSION,
    )
    assert row.runtime.startswith("openvino 20")
    assert set(row.milliseconds) == {"decode", "preprocess", "infer", "render"}
    for finding in Finding.objects.filter(analysis=row):
        assert (finding.width, finding.height) == (48, 64)
        assert finding.display_file.startswith(
            f"clinics/{row.clinic_id}/findings/{row.pk}/1-{finding.image_id}"
        )
        assert content_of(finding.display_file).startswith(b"\xff\xd8")
        assert default_storage.exists(finding.thumbnail_file)
        assert (finding.overlay_file, finding.map_file, finding.probability) == ("", "", None)


def test_a_radiograph_gets_probability_and_map(worker: InferenceWorker, shared_data: Path) -> None:
    """A fractured one of a body part that is judged, on which an area stands out."""
    name = shared_data / "fracatlas" / "images" / "IMG0000443.jpg"
    study_of(name.read_bytes())
    worker.work()
    row = Analysis.objects.get()
    finding = Finding.objects.get()
    assert row.state == "succeeded"
    assert row.verdict != "unsupported"
    assert row.body_part in row.bundle.body_parts
    assert row.probability == pytest.approx(finding.probability)
    evidence = json.loads(content_of(finding.map_file))
    assert len(evidence["values"]) == evidence["height"] * evidence["width"]
    assert evidence["scale"] == row.bundle.manifest["map"]["scale"]
    assert content_of(finding.overlay_file).startswith(b"\x89PNG")


def test_the_thresholds_are_those_of_the_analysis(worker: InferenceWorker, shared_data: Path) -> None:
    name = next(iter(sorted((shared_data / "fracatlas" / "images").rglob("*.jpg"))))
    study_of(name.read_bytes())
    Analysis.objects.update(threshold_low=0, threshold_high=0)
    worker.work()
    assert Analysis.objects.get().verdict == "abnormal"
    assert Finding.objects.get().verdict == "abnormal"


def test_one_broken_view_leaves_the_study_incomplete(worker: InferenceWorker) -> None:
    study = study_of(picture(), BROKEN)
    worker.work()
    row = Analysis.objects.get(study=study)
    assert (row.state, row.views) == ("succeeded", 2)
    (view,) = row.unreadable
    broken = study.images.get(pk=view["image"])
    assert f"“{broken.uploads.get().filename}”" in view["sentence"]
    assert Finding.objects.count() == 1


def test_no_view_that_decodes_fails_for_good_and_names_the_file(worker: InferenceWorker) -> None:
    study = study_of(BROKEN)
    worker.work()
    row = Analysis.objects.get(study=study)
    assert (row.state, row.attempt) == ("failed", 1)
    assert row.error_kind in ("truncated", "corrupt")
    assert row.error_sentence.startswith(f"Could not read “{study.images.get().uploads.get().filename}”. ")


def test_one_bad_file_spoils_no_neighbour(worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken, not in the storage, or hitting a mistake of ours: only their own analyses end otherwise."""
    analyse_views = tasks.Pipeline.analyse_views

    def mistaken(self: Any, files: list[bytes], *arguments: Any) -> Any:
        if b"mistake" in files[0]:
            raise RuntimeError("quotes the file: mistake")
        return analyse_views(self, files, *arguments)

    monkeypatch.setattr(tasks.Pipeline, "analyse_views", mistaken)
    good = study_of(picture(0))
    broken = study_of(BROKEN)
    missing = study_of(picture(1))
    default_storage.delete(missing.images.get().file)
    mistake = study_of(png() + b"mistake")
    last = study_of(picture(2))
    while has_due():
        worker.work()
    states = {study: Analysis.objects.get(study=study) for study in (good, broken, missing, mistake, last)}
    assert states[good].state == states[last].state == "succeeded"
    assert states[broken].state == "failed"
    assert states[missing].state == "queued"
    assert states[missing].attempt == 1, "it pauses before it is tried again"
    assert (states[mistake].state, states[mistake].error_kind) == ("failed", "unexpected")
    assert states[mistake].crashes_alone == steps.CRASHES_ALONE
    assert "mistake" not in states[mistake].error_sentence


def test_the_log_of_a_mistake_quotes_no_message(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quoted = "PatientName Jane"

    def mistaken(*_: Any) -> None:
        raise ValueError(quoted)

    monkeypatch.setattr(tasks.Pipeline, "analyse_views", mistaken)
    study_of(picture())
    worker.work()
    assert "ValueError" in caplog.text
    assert "in mistaken" in caplog.text
    assert "Jane" not in caplog.text


@pytest.mark.parametrize("alone", [True, False])
def test_out_of_memory_is_not_tried_again_where_nobody_else_took_it(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    def greedy(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(tasks.Pipeline, "analyse_views", greedy)
    for number in range(1 if alone else 2):
        study_of(picture(number))
    worker.work()
    expected = ("failed", "out_of_memory") if alone else ("queued", "")
    assert set(Analysis.objects.values_list("state", "error_kind")) == {expected}


def test_out_of_time_alone_is_not_tried_again(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.Pipeline, "analyse_views", lambda *_: signal.raise_signal(signal.SIGUSR1))
    study_of(picture())
    worker.work()
    row = Analysis.objects.get()
    assert (row.state, row.error_kind, row.attempt) == ("failed", "too_slow", 1)


def test_a_picture_that_hangs_its_decoder_is_given_up_and_the_next_one_is_analysed(
    strange: InferenceWorker,
) -> None:
    hung, good = study_of(picture(0), png() + b"hang"), study_of(picture(1))
    begun = time.monotonic()
    strange.work()
    assert time.monotonic() - begun < 10
    row = Analysis.objects.get(study=hung)
    assert (row.state, row.attempt, [view["kind"] for view in row.unreadable]) == (
        "succeeded",
        1,
        ["too_slow"],
    )
    assert Analysis.objects.get(study=good).state == "succeeded"


def test_after_three_slow_views_the_others_are_not_tried(strange: InferenceWorker) -> None:
    study_of(*(png() + b"hang" * number for number in range(1, 4)), *(picture(number) for number in range(6)))
    strange.work()
    row = Analysis.objects.get()
    assert (row.state, row.views, len(row.unreadable)) == ("succeeded", 9, 4)
    assert "It was not decoded, since 3 other views" in row.unreadable[-1]["sentence"]


@pytest.mark.django_db(transaction=True)
def test_calling_off_frees_a_worker_whose_decoder_hangs(
    strange: InferenceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_of(png() + b"hang")
    monkeypatch.setattr(strange.decoder, "limits", replace(strange.decoder.limits, seconds=100))
    worker = threading.Thread(target=strange.work)
    worker.start()
    while not Analysis.objects.filter(state="running").exists():
        time.sleep(0.05)
    cancel_analysis(analysis=Analysis.objects.get(), actor=PORTAL)
    worker.join(timeout=10)
    assert not worker.is_alive()
    assert Analysis.objects.get().state == "cancelled"


def test_called_off_between_claim_and_work(worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = study_of(picture(0)), study_of(picture(1))
    complete = steps.complete

    def complete_then_cancel(**arguments: Any) -> bool:
        done = complete(**arguments)
        cancel_analysis(analysis=Analysis.objects.get(study=second), actor=PORTAL)
        return done

    monkeypatch.setattr(steps, "complete", complete_then_cancel)
    worker.work()
    assert Analysis.objects.get(study=first).state == "succeeded"
    assert Analysis.objects.get(study=second).state == "cancelled"


def test_out_of_time_counts_for_one_and_gives_the_others_back(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any) -> None:
        """As a decoder: whatever happens inside, it calls the file damaged."""
        try:
            signal.raise_signal(signal.SIGUSR1)  # as Celery does
        except Exception as error:
            raise UnreadableError("corrupt", "It is damaged.") from error

    monkeypatch.setattr(tasks.Pipeline, "analyse_views", slow)
    for number in range(3):
        study_of(picture(number))
    worker.work()
    assert set(Analysis.objects.values_list("state", "attempt", "crashes_alone")) == {("queued", 1, 0)}


def test_time_that_ends_within_a_transaction_does_not_tear_it(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result that is being written is written; what was not begun is given back."""
    finding, rings = steps._finding, iter([True])

    def late(*arguments: Any) -> Any:
        if next(rings, False):
            signal.raise_signal(signal.SIGUSR1)
        return finding(*arguments)

    first, second = study_of(picture(0)), study_of(picture(1))
    monkeypatch.setattr(steps, "_finding", late)
    worker.work()
    assert Analysis.objects.get(study=first).state == "succeeded"
    assert Analysis.objects.get(study=second).state == "queued"
    worker.work()
    assert Analysis.objects.get(study=second).state == "succeeded"


def test_a_result_that_the_database_refuses_counts_as_a_mistake(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not as a dead process: the worker lives, and nobody waits for a lease."""
    study = study_of(picture(0))

    def not_a_number(*arguments: Any, **options: Any) -> Any:
        return replace(judge_study(*arguments, **options), body_parts={"wrist": float("nan")})

    monkeypatch.setattr(tasks, "judge_study", not_a_number)
    while has_due():
        worker.work()
    row = Analysis.objects.get(study=study)
    assert (row.state, row.error_kind, row.crashes_alone) == ("failed", "unexpected", steps.CRASHES_ALONE)
    assert "NaN" not in caplog.text


@pytest.mark.parametrize("late", ["called off", "taken over", "deleted"])
def test_files_of_a_result_that_is_not_taken_go_at_once(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    study = study_of(picture(0))
    complete, written = steps.complete, []

    def too_late(*, claim: Analysis, result: AnalysisResult) -> bool:
        written.extend([view.display_file for view in result.views])
        assert all(default_storage.exists(name) for name in written)
        if late == "called off":
            cancel_analysis(analysis=claim, actor=PORTAL)
        elif late == "taken over":
            Analysis.objects.filter(pk=claim.pk).update(attempt=2)
        else:
            delete_study(study=study, reason=Reason.REQUEST, actor=PORTAL)
        return complete(claim=claim, result=result)

    monkeypatch.setattr(steps, "complete", too_late)
    worker.work()
    assert written
    assert not any(default_storage.exists(name) for name in written)


def test_without_a_database_the_lease_decides(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: Any) -> bool:
        raise OperationalError("gone")

    monkeypatch.setattr(steps, "complete", away)
    monkeypatch.setattr(tasks.connection, "close", lambda: None)  # the test's transaction lives in it
    study_of(picture(0))
    study_of(picture(1))
    worker.work()
    assert set(Analysis.objects.values_list("state", flat=True)) == {"running"}


def test_a_lost_lease_is_not_worked_on(worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    study_of(picture())
    monkeypatch.setattr(worker.heartbeat, "has_lost", lambda claim: True)
    worker.work()
    assert Analysis.objects.get().state == "running"


def test_a_bundle_that_is_not_the_registered_one_is_refused(worker: InferenceWorker) -> None:
    other = Bundle.objects.create(
        name="other@1",
        folder="fracatlas-lite0",
        manifest=Bundle.objects.get().manifest,
        manifest_sha256=hashlib.sha256(b"other").hexdigest(),
    )
    study = make_study(submission=make_submission(make_study().clinic))
    request_analysis(study=study, bundle=other)
    worker.work()
    row = Analysis.objects.get(study=study)
    assert (row.state, row.attempt) == ("queued", 1)


def test_a_worker_that_cannot_run_networks_fails_no_study(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It was set up wrongly; the next one may not be."""
    study = study_of(picture())
    monkeypatch.setattr(settings, "XRAY_PRECISION", "f99")
    fresh = InferenceWorker()
    for _ in range(steps.CRASHES_ALONE + 1):
        fresh.work()
        Analysis.objects.update(not_before=Now())
    row = Analysis.objects.get(study=study)
    assert (row.state, row.attempt, row.crashes_alone) == ("queued", steps.CRASHES_ALONE + 1, 0)
    assert "does not run here: OpenVINO runs f32" in caplog.text


def test_a_worker_woken_for_nothing_loads_the_active_bundle_and_says_so() -> None:
    fresh = InferenceWorker()
    fresh.work()
    assert Worker.objects.get().bundle == Bundle.objects.get(is_active=True).name


def test_a_worker_without_any_bundle_waits_for_one_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Bundle.objects.all().delete()
    fresh = InferenceWorker()
    for _ in range(3):
        fresh.work()
    assert Worker.objects.get().bundle == ""
    assert caplog.text.count("No model version is active") == 1


def test_a_study_of_a_body_part_that_is_not_judged_keeps_no_heatmap(
    worker: InferenceWorker, bundles: Path, tmp_path: Path, settings: Settings
) -> None:
    """One view would be judged by itself, the other not; the study's body part decides for both."""
    folder = Path(shutil.copytree(bundles / "unified", tmp_path / "unsure"))
    document = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(with_measures(document, unjudged="ankle")))
    settings.BUNDLES_DIR = tmp_path
    register_bundle(folder="unsure", activate=True, actor=COMMAND_LINE)
    board = np.indices((128, 128)).sum(axis=0) % 2
    ankle = encoded((board * 255).astype(np.uint8), "PNG")
    wrist = encoded((np.random.default_rng(1).random((128, 128)) < 0.56).astype(np.uint8) * 255, "PNG")
    study = study_of(ankle, wrist)
    worker.work()
    row = Analysis.objects.get(study=study)
    assert (row.body_part, row.verdict, row.reason) == ("ankle", "uncertain", "body_part_not_judged")
    assert (row.probability, row.leaning) == (None, "")
    for finding in row.findings.all():
        assert (finding.verdict, finding.reason) == ("uncertain", "body_part_not_judged")
        assert (finding.probability, finding.peak_x, finding.trust, finding.location) == (
            None,
            None,
            None,
            "",
        )
        assert (finding.overlay_file, finding.map_file) == ("", "")
        assert default_storage.exists(finding.display_file)
    written = default_storage.listdir(f"clinics/{study.clinic_id}/findings/{row.pk}")[1]
    assert sorted(name.rsplit("-", 1)[1] for name in written) == ["display.jpg"] * 2 + ["thumbnail.jpg"] * 2
    study.refresh_from_db()
    assert (study.result_verdict, study.result_reason) == ("uncertain", "body_part_not_judged")

    judged = request_analysis(study=study, forced_body_part="wrist")
    worker.work()
    judged.refresh_from_db()
    assert (judged.verdict, judged.reason) == ("abnormal", "")
    assert {bool(finding.map_file) for finding in judged.findings.all()} == {True}
    study.refresh_from_db()
    assert (study.result_verdict, study.result_reason) == ("abnormal", "")
