"""The Celery worker and its task.

A wake-up carries nothing, and an idle worker looks by itself every few seconds. The worker claims up to
``XRAY_BATCH`` analyses from PostgreSQL and works on one after the other: files from the storage, the
pipeline, files into the storage, and last the rows. No transaction is open meanwhile. An error in one
analysis ends that one only.
"""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import socket
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from celery.signals import worker_process_init, worker_process_shutdown
from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection

from inference_worker.bundle import Bundle
from inference_worker.celery_worker.files import (
    StorageTroubleError,
    load_image,
    remove_files,
    without_verdict,
    write_view,
)
from inference_worker.decode.isolated import TOO_SLOW, DecodeProcess
from inference_worker.decode.limits import Limits
from inference_worker.manifest import FILE_NAME, BundleError
from inference_worker.pipeline import BATCH, Pipeline
from inference_worker.runtimes import load_runtimes
from inference_worker.types import STAGES, UnreadableError
from inference_worker.verdict import View, judge_study
from xrayportal.analyses.bundles import NoActiveBundleError, active_bundle
from xrayportal.analyses.models import Analysis, Worker
from xrayportal.analyses.models import Bundle as BundleRow
from xrayportal.analyses.queue import steps
from xrayportal.analyses.queue.announce import wake_workers
from xrayportal.analyses.queue.claims import claim_analyses, has_due
from xrayportal.analyses.results import AnalysisResult, UnreadableView, ViewResult
from xrayportal.analyses.workers import WorkerHeartbeat
from xrayportal.celery import WAKE_UP, app
from xrayportal.logs import log_context
from xrayportal.studies.models import Image

logger = logging.getLogger(__name__)
trail = logging.getLogger("xrayportal.trail")

#: The bundle in use and the one before it: a portal that changes bundles needs no more.
_KEPT_PIPELINES = 2
#: When so many views of a study could not be decoded in time, the next ones are not tried.
_MOST_SLOW = 3


class CalledOffError(Exception):
    """The analysis was cancelled, or its lease was lost, while one of its pictures was decoded."""


class OutOfTimeError(BaseException):
    """Celery's soft time limit has passed. No ``Exception``: decoders take those for damaged files."""


class NoViewDecodedError(Exception):
    """No view of a study can be decoded; ``views`` have the reasons."""

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
        self.decoder = DecodeProcess(decoding_limits())
        self._soft_limit = SoftLimit()
        #: Held while a batch is worked on: wake-ups come in the main thread, `look` in another.
        self._turn = threading.Lock()
        self._idle_watch = IdleWatch(self)
        #: Why the active bundle is not warm: logged when that changes, not at every wake-up.
        self._trouble = ""

    def start(self) -> None:
        """Load the active bundle, if there is one, and report ready."""
        self.decoder.start()
        self._prepare()
        self.heartbeat.start()
        self._idle_watch.start()

    def end(self) -> None:
        """Finish the batch at hand and sign off."""
        self._idle_watch.end()
        self.heartbeat.end()
        self.decoder.end()

    def _prepare(self) -> None:
        """Load the active bundle before an analysis names it; log why not, and beat."""
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
        """Load and warm the bundle's networks, once. Raises `BundleError` if this machine cannot run it."""
        if bundle.name not in self._pipelines:
            folder = settings.BUNDLES_DIR / bundle.folder
            files = Bundle.load(folder)
            # A result names the bundle that was registered, so it must be that one.
            if hashlib.sha256((folder / FILE_NAME).read_bytes()).hexdigest() != bundle.manifest_sha256:
                raise BundleError(f"{folder} is not {bundle.name} as it was registered")
            try:
                networks = load_runtimes(
                    files,
                    settings.XRAY_RUNTIME,
                    precision=settings.XRAY_PRECISION,
                    threads=settings.XRAY_THREADS or None,
                )
            except (ImportError, RuntimeError, ValueError) as error:
                # This machine's trouble: it must not count against the study, which others may well analyse.
                raise BundleError(f"{bundle.name} does not run here: {error}") from error
            while len(self._pipelines) >= _KEPT_PIPELINES:
                del self._pipelines[next(iter(self._pipelines))]
            self._pipelines[bundle.name] = Pipeline(files, networks, self.decoder.limits, self.decoder)
        self.row.bundle = bundle.name
        return self._pipelines[bundle.name]

    def work(self) -> None:
        """Claim a batch and complete, fail or release each of its analyses."""
        with self._turn:
            self._work()

    def look(self) -> None:
        """Work on what waits until the worker ends or a wake-up is answered; for `IdleWatch`."""
        while not self._idle_watch.is_ending and self._turn.acquire(blocking=False):
            try:
                if not has_due():
                    return
                self._work()
            finally:
                self._turn.release()

    def _work(self) -> None:
        claims = claim_analyses(worker=self.row.name, limit=settings.XRAY_BATCH)
        if not claims:
            self._prepare()
        elif has_due():
            wake_workers()
        self.heartbeat.holds(claims)
        try:
            with self._soft_limit:
                while claims:
                    with log_context(study=claims[0].study_id, analysis=claims[0].pk):
                        self._end(claims[0])
                    del claims[0]
        except OutOfTimeError:
            slow, *others = claims
            logger.error("Analysis %s ran out of time", slow.pk)
            _ran_out(slow, "too_slow", "Analysing this study took too long.")
            steps.release(claims=others)
        finally:
            self.heartbeat.holds([])

    def _end(self, claim: Analysis) -> None:
        """Analyse one claim; it ends or waits again whatever happens. Raises `OutOfTimeError` alone."""
        try:
            if not self._is_wanted(claim):
                return
            try:
                self.decoder.while_waiting = partial(self._go_on, claim)
                with self._soft_limit.interrupts():
                    result = self._analyse(claim)
                if steps.complete(claim=claim, result=result):
                    trail.info("Analysis %s is done", claim.pk)
                else:
                    # Cancelled, taken over, or its study deleted: pictures of a person that no row names.
                    remove_files(result.views)
            except NoViewDecodedError as error:
                kind, sentence = error.views[0].kind, " ".join(view.sentence for view in error.views)
                logger.info("Analysis %s failed, no view could be decoded: %s", claim.pk, kind)
                steps.fail(claim=claim, kind=kind, sentence=sentence, permanent=True, unreadable=error.views)
            except CalledOffError:
                logger.info("Analysis %s was called off", claim.pk)
            except StorageTroubleError as error:
                logger.warning("Analysis %s waits for the file storage: %s", claim.pk, error)
                sentence = "The file storage could not be reached for a long time."
                steps.fail(claim=claim, kind="storage", sentence=sentence, permanent=False)
            except BundleError as error:
                logger.error("Analysis %s waits for its bundle: %s", claim.pk, error)
                sentence = f"The bundle {claim.bundle.name} could not be loaded by the worker."
                steps.fail(claim=claim, kind="bundle", sentence=sentence, permanent=False)
            except (OperationalError, InterfaceError):
                raise
            except MemoryError:
                logger.error("Analysis %s ran out of memory", claim.pk)
                _ran_out(
                    claim, "out_of_memory", "Analysing this study takes more memory than its worker has."
                )
            except Exception as error:  # noqa: BLE001  # the last resort: no error may end the other claims
                logger.error("Analysis %s failed, attempt %d: %s", claim.pk, claim.attempt, _where(error))
                sentence = f"Analysing this study failed {steps.CRASHES_ALONE} times for an unknown reason."
                steps.record_crash(claim=claim, kind="unexpected", sentence=sentence)
        except (OperationalError, InterfaceError) as error:
            # The database is away, so nothing can be written; its lease will run out.
            logger.error("Analysis %s is left to its lease: %s", claim.pk, type(error).__name__)
            connection.close()

    def _is_wanted(self, claim: Analysis) -> bool:
        return not self.heartbeat.has_lost(claim) and steps.is_current(claim=claim)

    def _go_on(self, claim: Analysis) -> None:
        """Raise `CalledOffError` if nobody waits for this analysis any more."""
        if not self._is_wanted(claim):
            raise CalledOffError

    def _analyse(self, claim: Analysis) -> AnalysisResult:
        """Analyse all views and write their files.

        Raises `NoViewDecodedError`, `StorageTroubleError`, `BundleError`.
        """
        pipeline = self.pipeline(claim.bundle)
        thresholds = (claim.threshold_low, claim.threshold_high)
        judged: list[View | None] = []
        views: list[ViewResult] = []
        unreadable: list[UnreadableView] = []
        for images in _chunks(list(claim.study.images.all())):
            if sum(view.kind == TOO_SLOW for view in unreadable) >= _MOST_SLOW:
                judged += [None] * len(images)
                unreadable += [_not_tried(image) for image in images]
                continue
            files = [load_image(image) for image in images]
            results = pipeline.analyse_views(files, claim.forced_body_part or None, thresholds)
            for image, result in zip(images, results, strict=True):
                if isinstance(result, UnreadableError):
                    judged.append(None)
                    unreadable.append(UnreadableView(image.pk, result.kind, _filename(image), str(result)))
                else:
                    judged.append(result.view)
                    scale = pipeline.manifest.map.scale
                    views.append(write_view(claim=claim, image=image, result=result, scale=scale))
        if not views:
            raise NoViewDecodedError(unreadable)
        study = judge_study(
            judged,
            low=claim.threshold_low,
            high=claim.threshold_high,
            even=pipeline.manifest.thresholds.even,
            aggregate=pipeline.manifest.aggregate,
            forced_body_part=claim.forced_body_part or None,
            unjudged=pipeline.manifest.unjudged,
        )
        if study.reason:
            views = [without_verdict(view, study.reason) for view in views]
        return AnalysisResult(
            verdict=study.verdict,
            reason=study.reason,
            leaning=study.leaning or "",
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


def decoding_limits() -> Limits:
    """What one picture may cost, as the settings say."""
    return Limits(seconds=settings.DECODE_SECONDS, memory_bytes=settings.DECODE_MEMORY_BYTES)


class SoftLimit:
    """Celery's soft limit, while a batch is worked on: raises `OutOfTimeError` while a study is analysed.

    Decoders would swallow Celery's own exception. Between two studies the signal is only remembered: an
    exception in the middle of a transaction can leave the connection inside it for good.
    """

    def __init__(self) -> None:
        self._is_over = self._interrupts = False

    def __enter__(self) -> None:
        self._is_over = False
        if _in_main_thread():  # no other gets signals: there only the hard limit counts
            self._before = signal.signal(signal.SIGUSR1, self._end)

    def __exit__(self, *_: object) -> None:
        if _in_main_thread():
            signal.signal(signal.SIGUSR1, self._before)

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """Mark code that may stop anywhere. Raises `OutOfTimeError` at once if the time is over already."""
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


class IdleWatch(threading.Thread):
    """Asks PostgreSQL for work now and then, so that none waits for a wake-up that Redis has lost."""

    def __init__(self, worker: InferenceWorker) -> None:
        super().__init__(name="idle watch", daemon=True)
        self._worker = worker
        self._end = threading.Event()

    @property
    def is_ending(self) -> bool:
        return self._end.is_set()

    def end(self) -> None:
        """Stop after the batch at hand."""
        self._end.set()
        self.join()

    def run(self) -> None:
        is_away = False
        while not self._end.wait(settings.IDLE_POLL_SECONDS):
            try:
                self._worker.look()
                is_away = False
            except Error as error:
                if not is_away:
                    logger.warning("No work can be asked for: %s", type(error).__name__)
                is_away = True
                connection.close()
            except Exception as error:  # noqa: BLE001  # the thread must go on; the next wake-up meets it too
                logger.error("Asking for work failed: %s", _where(error))
        connection.close()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _ran_out(claim: Analysis, kind: str, sentence: str) -> None:
    """End an attempt that lacked time or memory: for good if it ran alone, else it is tried alone."""
    if claim.claimed_alone:
        steps.fail(claim=claim, kind=kind, sentence=sentence, permanent=True)
    else:
        steps.record_crash(claim=claim, kind=kind, sentence=sentence)


def _not_tried(image: Image) -> UnreadableView:
    sentence = f"It was not decoded, since {_MOST_SLOW} other views of the study took too long."
    return UnreadableView(image.pk, TOO_SLOW, _filename(image), sentence)


def _chunks(images: Sequence[Image]) -> Iterator[Sequence[Image]]:
    """Yield as many views as fit one pass: a study of many large views must fit the memory."""
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH]


def _filename(image: Image) -> str:
    """The name that the sender gave the file, in quotation marks."""
    upload = next(iter(image.uploads.all()), None)
    return f"“{upload.filename}”" if upload else "a file"


def _total(views: Sequence[ViewResult]) -> dict[str, float]:
    return {stage: round(sum(view.milliseconds[stage] for view in views), 2) for stage in STAGES}


def _where(error: Exception) -> str:
    """The error's kind and place, without its message, which could quote the file."""
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
        _inference_worker.end()


@app.task(name=WAKE_UP)  # type: ignore[untyped-decorator]  # Celery has no types
def analyse_waiting() -> None:
    """Work on the analyses that wait in PostgreSQL; a worker that finds more than a batch wakes the next."""
    if _inference_worker is None:
        raise RuntimeError("the worker must run with the prefork pool, one child")
    _inference_worker.work()
