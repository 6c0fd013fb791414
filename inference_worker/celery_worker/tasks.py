"""The Celery worker's task, and the child that works on it.

A wake-up carries nothing, and an idle worker looks by itself every few seconds. The worker claims up to
``XRAY_BATCH`` analyses from PostgreSQL (`worker`) and takes them through the pipeline (`batch`): files from
the storage, the networks, files into the storage, and last the rows. No transaction is open meanwhile. An
error in one analysis ends that one only.
"""

from __future__ import annotations

from typing import Any

from celery.signals import worker_process_init, worker_process_shutdown

from inference_worker.celery_worker.worker import InferenceWorker
from xrayportal.celery import WAKE_UP, app

#: Made in the child: neither threads nor networks survive a fork.
_inference_worker: InferenceWorker | None = None


@worker_process_init.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _begin(**_: Any) -> None:
    global _inference_worker
    _inference_worker = InferenceWorker()
    _inference_worker.start()


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _finish(**_: Any) -> None:
    if _inference_worker is not None:
        _inference_worker.end()


@app.task(name=WAKE_UP)  # type: ignore[untyped-decorator]  # Celery has no types
def analyse_waiting() -> None:
    """Work on the analyses that wait in PostgreSQL; a worker that finds more than a batch wakes the next."""
    if _inference_worker is None:
        raise RuntimeError("the worker must run with the prefork pool, one child")
    _inference_worker.work()
