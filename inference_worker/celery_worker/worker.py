"""One worker child: it loads networks, claims batches, and looks for work by itself."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
from collections.abc import Iterator
from time import monotonic

from django.conf import settings
from django.db import Error

from inference_worker.bundle import Bundle
from inference_worker.celery_worker.batch import Batch
from inference_worker.celery_worker.idle_watch import IdleWatch
from inference_worker.decode.isolated import DecodeProcess
from inference_worker.decode.limits import Limits
from inference_worker.manifest import FILE_NAME, BundleError
from inference_worker.pipeline import Pipeline
from inference_worker.runtimes import load_runtimes
from xrayportal.analyses.bundles import NoActiveBundleError, active_bundle
from xrayportal.analyses.models import Analysis, Worker
from xrayportal.analyses.models import Bundle as BundleRow
from xrayportal.analyses.queue.announce import wake_workers
from xrayportal.analyses.queue.claims import claim_analyses, has_due
from xrayportal.analyses.workers import WorkerHeartbeat

logger = logging.getLogger(__name__)

#: The bundle in use and the one before it: a portal that changes bundles needs no more.
_KEPT_PIPELINES = 2
#: How long one wake-up is worked on while every claim brings a full batch: a worker that is told to end, or
#: whose bundle changes, does not wait for longer.
_GOES_ON_SECONDS = 0.5


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
        #: Held while a batch is worked on: wake-ups come in the main thread, `look` in another.
        self._turn = threading.Lock()
        self._idle_watch = IdleWatch(self.look)
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
        """Claim a batch and complete, fail or release each of its analyses. One at a time."""
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
        try:
            Batch(
                self._claims(),
                pipeline=self.pipeline,
                decoder=self.decoder,
                has_lost=self.heartbeat.has_lost,
            ).work()
        finally:
            self.heartbeat.holds([])

    def _claims(self) -> Iterator[list[Analysis]]:
        """Claim a batch and, where it is full, the next one when it is asked for, for `_GOES_ON_SECONDS`."""
        limit, began, held = settings.XRAY_BATCH, monotonic(), list[Analysis]()
        while len(held) % limit == 0 and (not held or monotonic() - began < _GOES_ON_SECONDS):
            claims = claim_analyses(worker=self.row.name, limit=limit)
            is_first, held = not held, held + claims
            self.heartbeat.holds(held)
            if not held:
                self._prepare()
            elif is_first and has_due():
                wake_workers()  # the others, at once
            yield claims
            if not claims:
                return
        if len(held) > limit and has_due():
            wake_workers()  # whoever is free when this ends


def decoding_limits() -> Limits:
    """What one picture may cost, as the settings say."""
    return Limits(seconds=settings.DECODE_SECONDS, memory_bytes=settings.DECODE_MEMORY_BYTES)
