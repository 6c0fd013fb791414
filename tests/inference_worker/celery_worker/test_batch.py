"""The worker's way with a claim: real files, the released bundle, rows and files at its end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.core.files.storage import default_storage
from pytest_django.fixtures import Settings

from inference_worker.celery_worker import batch
from inference_worker.celery_worker.files import load_image
from inference_worker.celery_worker.worker import InferenceWorker
from tests.inference_worker.celery_worker.studies import BROKEN, content_of, picture, study_of
from tests.inference_worker.drawing import encoded
from tests.measured import with_measures
from xrayportal.analyses.bundles import register_bundle
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.analyses.queue import steps
from xrayportal.analyses.results import AnalysisResult
from xrayportal.analyses.services import cancel_analysis, request_analysis
from xrayportal.clinics.actors import COMMAND_LINE, PORTAL
from xrayportal.intake.deletion import Reason, delete_study
from xrayportal.studies.models import Image, Study

pytestmark = pytest.mark.django_db


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


@pytest.mark.parametrize("is_old", [False, True])
def test_called_off_between_claim_and_work(
    worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch, is_old: bool
) -> None:
    """A claim of this moment is not looked up before its work, but its result is not taken."""
    first, second = study_of(picture(0)), study_of(picture(1))
    monkeypatch.setattr(batch, "_FRESH_SECONDS", 0.0 if is_old else 60.0)
    loaded: list[Study] = []

    def cancel_then_load(image: Image) -> bytes:
        if not loaded:
            cancel_analysis(analysis=Analysis.objects.get(study=second), actor=PORTAL)
        loaded.append(image.study)
        return load_image(image)

    monkeypatch.setattr(batch, "load_image", cancel_then_load)
    worker.work()
    assert Analysis.objects.get(study=first).state == "succeeded"
    assert Analysis.objects.get(study=second).state == "cancelled"
    assert loaded == ([first] if is_old else [first, second])
    assert not Finding.objects.filter(analysis__study=second).exists()


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


def test_a_lost_lease_is_not_worked_on(worker: InferenceWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    study_of(picture())
    monkeypatch.setattr(worker.heartbeat, "has_lost", lambda claim: True)
    worker.work()
    assert Analysis.objects.get().state == "running"


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
