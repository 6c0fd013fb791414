"""The Celery worker: the only file here that knows Django.

A wake-up carries nothing. The worker claims up to ``XRAY_BATCH`` analyses from PostgreSQL and works on one
after the other: files from the storage, the pipeline, files into the storage, and last the rows. No
transaction is open meanwhile. What can go wrong with one ends that one only.
"""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import socket
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from celery.signals import worker_process_init, worker_process_shutdown
from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection

from inference_worker.bundle import Bundle, BundleError
from inference_worker.celery_worker.files import (
    STAGES,
    StorageTroubleError,
    read_image,
    remove_files,
    write_view,
)
from inference_worker.pipeline import BATCH, Pipeline
from inference_worker.runtimes import load_runtimes
from inference_worker.types import UnreadableError
from inference_worker.verdict import View, judge_study
from xrayportal.analyses import queue
from xrayportal.analyses.announce import wake_workers
from xrayportal.analyses.bundles import NoActiveBundleError, active_bundle
from xrayportal.analyses.claims import claim_analyses, has_due
from xrayportal.analyses.models import Analysis, Worker
from xrayportal.analyses.models import Bundle as BundleRow
from xrayportal.analyses.results import AnalysisResult, UnreadableView, ViewResult
from xrayportal.analyses.workers import WorkerHeartbeat
from xrayportal.celery import WAKE_UP, app
from xrayportal.studies.models import Image

logger = logging.getLogger(__name__)

#: The one in use and the one before it: a portal that changes bundles, or compares two, needs no more.
_KEPT_PIPELINES = 2


class OutOfTimeError(BaseException):
    """Celery's soft time limit. No ``Exception``: decoders take those for damaged files."""


class NothingReadableError(Exception):
    """No view of a study can be read; ``views`` say why."""

    def __init__(self, views: list[UnreadableView]) -> None:
        super().__init__(f"none of {len(views)} views")
        self.views = views


class InferenceWorker:
    """One worker child: its row, its networks, its claims."""

    def __init__(self) -> None:
        self.row = Worker(
            name=f"{socket.gethostname()}:{os.getpid()}",
            runtime=settings.XRAY_RUNTIME,
            precision=settings.XRAY_PRECISION,
            software=settings.VERSION,
        )
        self.heartbeat = WorkerHeartbeat(self.row)
        self._pipelines: dict[str, Pipeline] = {}
        self._soft_limit = SoftLimit()
        #: Why the active bundle is not warm: told when that changes, not at every wake-up.
        self._trouble = ""

    def start(self) -> None:
        """Load the active bundle, if there is one, and report ready."""
        self._prepare()
        self.heartbeat.start()

    def _prepare(self) -> None:
        """Have the active bundle warm before an analysis names it, and say so."""
        trouble = ""
        try:
            self.pipeline(active_bundle())
        except (NoActiveBundleError, BundleError) as error:
            trouble = str(error)
        except Error as error:
            trouble = type(error).__name__
        if trouble and trouble != self._trouble:
            logger.warning("Worker %s has no warm network of the active bundle: %s", self.row.name, trouble)
        self._trouble = trouble
        self.heartbeat.beat()

    def pipeline(self, bundle: BundleRow) -> Pipeline:
        """The bundle's networks, warm. Raises `BundleError` if this machine cannot run it."""
        if bundle.name not in self._pipelines:
            folder = settings.BUNDLES_DIR / bundle.folder
            files = Bundle.load(folder)
            # A result names the bundle that was registered, so it must be that one.
            if hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest() != bundle.manifest_sha256:
                raise BundleError(f"{folder} is not {bundle.name} as it was registered")
            try:
                networks = load_runtimes(files, settings.XRAY_RUNTIME, precision=settings.XRAY_PRECISION)
            except (ImportError, RuntimeError, ValueError) as error:
                # This machine's trouble: it must not count against the study, which others may well read.
                raise BundleError(f"{bundle.name} does not run here: {error}") from error
            while len(self._pipelines) >= _KEPT_PIPELINES:
                del self._pipelines[next(iter(self._pipelines))]
            self._pipelines[bundle.name] = Pipeline(files, networks)
        self.row.bundle = bundle.name
        return self._pipelines[bundle.name]

    def work(self) -> None:
        """Claim a batch and end each of its analyses one way or another."""
        claims = claim_analyses(worker=self.row.name, limit=settings.XRAY_BATCH)
        if not claims:
            self._prepare()
        elif has_due():
            wake_workers()
        self.heartbeat.holds(claims)
        try:
            with self._soft_limit:
                while claims:
                    self._end(claims[0])
                    del claims[0]
        except OutOfTimeError:
            slow, *others = claims
            logger.error("Analysis %s ran out of time", slow.pk)
            queue.record_crash(claim=slow, kind="too_slow", sentence="Reading this study took too long.")
            queue.release(claims=others)
        finally:
            self.heartbeat.holds([])

    def _end(self, claim: Analysis) -> None:
        """Whatever happens, the analysis ends or waits again; only time's end goes further."""
        try:
            if self.heartbeat.has_lost(claim) or not queue.is_current(claim=claim):
                return
            try:
                with self._soft_limit.interrupts():
                    result = self._read(claim)
                if queue.complete(claim=claim, result=result):
                    logger.info("Analysis %s is done", claim.pk)
                else:
                    # Called off, taken over, or its study deleted: pictures of a person that no row names.
                    remove_files(result.views)
            except NothingReadableError as error:
                kind, sentence = error.views[0].kind, " ".join(view.sentence for view in error.views)
                logger.info("Analysis %s cannot be read: %s", claim.pk, kind)
                queue.fail(claim=claim, kind=kind, sentence=sentence, permanent=True, unreadable=error.views)
            except StorageTroubleError as error:
                logger.warning("Analysis %s waits for the file storage: %s", claim.pk, error)
                sentence = "The file storage could not be reached for a long time."
                queue.fail(claim=claim, kind="storage", sentence=sentence, permanent=False)
            except BundleError as error:
                logger.error("Analysis %s waits for its bundle: %s", claim.pk, error)
                sentence = f"The bundle {claim.bundle.name} could not be loaded by the worker."
                queue.fail(claim=claim, kind="bundle", sentence=sentence, permanent=False)
            except (OperationalError, InterfaceError):
                raise
            except Exception as error:  # noqa: BLE001  # the border: whatever it is, it must not spoil the neighbours
                logger.error("Analysis %s failed, attempt %d: %s", claim.pk, claim.attempt, _where(error))
                sentence = f"Reading this study failed {queue.CRASHES_ALONE} times for an unknown reason."
                queue.record_crash(claim=claim, kind="unexpected", sentence=sentence)
        except (OperationalError, InterfaceError) as error:
            # The database is away, so nothing can be written; its lease will run out.
            logger.error("Analysis %s is left to its lease: %s", claim.pk, type(error).__name__)
            connection.close()

    def _read(self, claim: Analysis) -> AnalysisResult:
        """Raises `NothingReadableError` if no view can be, `StorageTroubleError`, `BundleError`."""
        pipeline = self.pipeline(claim.bundle)
        thresholds = (claim.threshold_low, claim.threshold_high)
        judged: list[View | None] = []
        views: list[ViewResult] = []
        unreadable: list[UnreadableView] = []
        for images in _chunks(list(claim.study.images.all())):
            files = [read_image(image) for image in images]
            answers = pipeline.read_many(files, claim.forced_body_part or None, thresholds)
            for image, answer in zip(images, answers, strict=True):
                if isinstance(answer, UnreadableError):
                    judged.append(None)
                    unreadable.append(UnreadableView(image.pk, answer.kind, _filename(image), str(answer)))
                else:
                    judged.append(answer.view)
                    scale = pipeline.manifest.map.scale
                    views.append(write_view(claim=claim, image=image, result=answer, scale=scale))
        if not views:
            raise NothingReadableError(unreadable)
        study = judge_study(
            judged,
            low=claim.threshold_low,
            high=claim.threshold_high,
            aggregate=pipeline.manifest.aggregate,
            forced_body_part=claim.forced_body_part or None,
        )
        return AnalysisResult(
            verdict=study.verdict,
            body_part=study.body_part or "",
            body_parts=dict(study.body_parts),
            probability=study.probability,
            views=views,
            unreadable=unreadable,
            runtime=f"{pipeline.runtime.name} {pipeline.runtime.version}",
            precision=pipeline.runtime.precision,
            software=settings.VERSION,
            milliseconds=_total(views),
        )


class SoftLimit:
    """Celery's soft limit, while a batch is worked on: raises `OutOfTimeError` while a study is read.

    Celery's own exception would be swallowed by decoders. Between two studies it is only remembered, since
    an exception at any place of a transaction can leave the connection within one for good.
    """

    def __init__(self) -> None:
        self._is_over = self._interrupts = False

    def __enter__(self) -> None:
        self._is_over = False
        self._before = signal.signal(signal.SIGUSR1, self._end)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGUSR1, self._before)

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """What may be left at any place. Raises `OutOfTimeError` at once if time is over already."""
        self._interrupts = True
        try:
            if self._is_over:
                raise OutOfTimeError
            yield
        finally:
            self._interrupts = False

    def _end(self, *_: object) -> None:
        self._is_over = True
        if self._interrupts:
            raise OutOfTimeError


def _chunks(images: Sequence[Image]) -> Iterator[Sequence[Image]]:
    """As many views as fit one pass: a study of many large views must fit the memory."""
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH]


def _filename(image: Image) -> str:
    """As its sender called it."""
    upload = next(iter(image.uploads.all()), None)
    return f"“{upload.filename}”" if upload else "a file"


def _total(views: Sequence[ViewResult]) -> dict[str, float]:
    return {stage: round(sum(view.milliseconds[stage] for view in views), 2) for stage in STAGES}


def _where(error: Exception) -> str:
    """Kind and place, not the message: it could quote the file."""
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"


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
        _inference_worker.heartbeat.end()


@app.task(name=WAKE_UP)  # type: ignore[untyped-decorator]  # Celery has no types
def analyse_waiting() -> None:
    """Work on what waits in PostgreSQL; whoever finds more than a batch wakes the next worker."""
    if _inference_worker is None:
        raise RuntimeError("the worker must run with the prefork pool, one child")
    _inference_worker.work()
