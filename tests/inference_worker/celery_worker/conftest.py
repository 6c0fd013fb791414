"""A worker child, without Celery around it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings

from inference_worker.celery_worker import worker as worker_module
from inference_worker.celery_worker.worker import InferenceWorker
from inference_worker.decode import isolated
from xrayportal.analyses.bundles import register_bundle
from xrayportal.clinics.actors import COMMAND_LINE


@pytest.fixture(scope="package")
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
    monkeypatch.setattr(worker_module, "wake_workers", lambda: True)
    return
