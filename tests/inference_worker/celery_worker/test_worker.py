"""Which networks a worker loads, and what it does without them."""

from __future__ import annotations

import hashlib

import pytest
from django.conf import settings
from django.db.models.functions import Now

from inference_worker.celery_worker.worker import InferenceWorker
from tests.factories import make_study, make_submission
from tests.inference_worker.celery_worker.studies import picture, study_of
from xrayportal.analyses.models import Analysis, Bundle, Worker
from xrayportal.analyses.queue import steps
from xrayportal.analyses.services import request_analysis

pytestmark = pytest.mark.django_db


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
