"""Live workers: each has a row, and a thread that keeps the row fresh."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import Error, connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from xrayportal.analyses.models import Analysis, Worker
from xrayportal.analyses.queue.steps import extend
from xrayportal.liveness import report_alive

logger = logging.getLogger(__name__)

#: Rows of workers that were silent for so many leases are removed.
DEAD_AFTER_LEASES = 3


def live_workers() -> QuerySet[Worker]:
    """Workers seen within the time of a lease; ``bundle`` is empty while one has no network loaded."""
    return Worker.objects.filter(last_seen__gt=Now() - timedelta(seconds=settings.LEASE_SECONDS))


def remove_dead_workers() -> int:
    """Remove the rows of workers that ended without removing them; returns how many."""
    silence = timedelta(seconds=DEAD_AFTER_LEASES * settings.LEASE_SECONDS)
    return Worker.objects.filter(last_seen__lt=Now() - silence).delete()[0]


class WorkerHeartbeat(threading.Thread):
    """Keeps a worker's row fresh and extends the leases of what it works on, three times a lease.

    It runs beside the work, on a database connection of its own: a long forward pass keeps its lease,
    and a process that is frozen or dead does not. A process that works for longer than the hard limit since
    its last claim is killed: Celery does that only to what it has started itself.
    """

    def __init__(self, worker: Worker) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._worker = worker
        self._lock = threading.Lock()
        self._claims: list[Analysis] = []
        #: By id and attempt: what was lost may be claimed again.
        self._lost: set[tuple[uuid.UUID, int]] = set()
        self._since = time.monotonic()
        self._end = threading.Event()

    def holds(self, claims: Iterable[Analysis]) -> None:
        """Extend the leases of these claims from now on, and of no others; empty when the work is done."""
        with self._lock:
            self._claims = list(claims)
            self._lost &= {(claim.pk, claim.attempt) for claim in self._claims}
            self._since = time.monotonic()

    def has_lost(self, claim: Analysis) -> bool:
        """Whether the lease of this claim could not be extended, so that its result would be refused."""
        with self._lock:
            return (claim.pk, claim.attempt) in self._lost

    def end(self) -> None:
        """Stop the thread and remove the worker's row."""
        self._end.set()
        self.join()
        try:
            Worker.objects.filter(name=self._worker.name).delete()
        except Error:
            logger.warning("Worker %s could not sign off", self._worker.name)

    def run(self) -> None:
        while not self._end.wait(settings.LEASE_SECONDS / 3):
            self._end_if_hung()
            self.beat()
        connection.close()

    def _end_if_hung(self) -> None:
        with self._lock:
            is_hung = self._claims and time.monotonic() - self._since > settings.TASK_HARD_SECONDS
        if is_hung:
            logger.error("Worker %s is hung, so it is killed", self._worker.name)
            os.kill(os.getpid(), signal.SIGKILL)

    def beat(self) -> None:
        """Refresh the row and the leases once. A database that is away is tried again at the next beat."""
        report_alive()
        worker = self._worker
        try:
            Worker.objects.update_or_create(
                name=worker.name,
                defaults={
                    "bundle": worker.bundle,
                    "runtime": worker.runtime,
                    "precision": worker.precision,
                    "software": worker.software,
                    "last_seen": Now(),
                },
            )
            with self._lock:
                claims = list(self._claims)
            if claims:
                kept = extend(claims=claims, worker=worker.name)
                with self._lock:
                    self._lost |= {(claim.pk, claim.attempt) for claim in claims if claim.pk not in kept}
        except Error as error:
            logger.warning("Worker %s cannot reach the database: %s", worker.name, type(error).__name__)
            connection.close()
