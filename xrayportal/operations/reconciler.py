"""The reconciler: a process that repairs interrupted work and needs nothing but PostgreSQL.

Any number of them may run, of which one leads: it holds an advisory lock of its database session, which
ends with the session however the process ends.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta

from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from xrayportal.analyses.models import Bundle, Heartbeat
from xrayportal.analyses.orphans import sweep
from xrayportal.analyses.queue.announce import wake_workers
from xrayportal.analyses.queue.claims import has_due
from xrayportal.analyses.queue.steps import requeue_expired
from xrayportal.analyses.workers import live_workers, remove_dead_workers
from xrayportal.audit.anchors import current_anchors, write_anchors
from xrayportal.audit.visits import forget_visits
from xrayportal.clinics.actors import PORTAL
from xrayportal.clinics.sessions import SessionStore
from xrayportal.dicom.identifiers import erase_expired
from xrayportal.intake.retention import apply_retention
from xrayportal.intake.services import finish_submission, studies_due, try_to_seal
from xrayportal.liveness import report_alive
from xrayportal.operations.figures import head_of_queue
from xrayportal.rows import act_on_each
from xrayportal.studies.models import Submission
from xrayportal.worklist.digests import make_ready, send_mails

logger = logging.getLogger(__name__)

#: Any number that nothing else in this database takes as an advisory lock.
_LEADER = 0x7872_6179_0001
#: A round does so much of one kind at most; the rest comes two seconds later.
_PER_ROUND = 200
#: Pause between two searches for studies that are older than their clinic keeps them.
_RETENTION_SECONDS = 24 * 3600
_RETAINED_PER_ROUND = 20
#: Of each round the search for orphans takes no more than this.
_SWEEP_SECONDS = 0.5


class Reconciler:
    """Does round after round until ``stop`` is called."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._leads = False
        #: A lasting trouble is logged when it begins, not every round.
        self._lacks_database = self._lacks_bundle = False
        self._sweep: Iterator[int] | None = None
        self._next_sweep = time.monotonic()
        self._next_retention = time.monotonic()
        self._next_anchor = time.monotonic()
        self._anchored: set[tuple[uuid.UUID | None, int]] = set()
        self._next_log = time.monotonic()

    def stop(self) -> None:
        """End after the present step; called from a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Do rounds until ``stop`` is called, also while the database is away."""
        while not self._stop.is_set():
            self.round()
            self._stop.wait(settings.RECONCILE_SECONDS)
        connection.close()

    def round(self) -> bool:
        """Do every step once. ``False`` if another process leads or the database is away."""
        for step in (
            _beat,
            requeue_expired,
            self._seal_studies,
            self._finish_submissions,
            make_ready,
            self._wake,
            remove_dead_workers,
            self._remove_orphans,
            self._apply_retention,
            self._anchor_audit,
            erase_expired,
            send_mails,
            self._log_queue,
        ):
            report_alive()
            # A step that lost the session lost the lead with it, and another may have it by now.
            if self._stop.is_set() or not self._has_lead():
                break
            self._do(step)
        return self._leads

    def _do(self, step: Callable[[], object]) -> None:
        """Do one step; its failure must not keep the others from being done."""
        try:
            step()
        except (OperationalError, InterfaceError) as error:
            self._lose_database(error)
        except Exception:
            logger.exception("The reconciler's step %s failed", step.__name__)

    def _has_lead(self) -> bool:
        """Whether this process leads; not while the database is away."""
        try:
            return self._take_lead()
        except Error as error:
            self._lose_database(error)
            return False

    def _take_lead(self) -> bool:
        if not self._leads or connection.connection is None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LEADER])
                self._leads = bool(cursor.fetchone()[0])
            if self._leads:
                logger.info("This reconciler leads")
            self._lacks_database = False
        return self._leads

    def _lose_database(self, error: Error) -> None:
        if not self._lacks_database:
            logger.warning("The reconciler lost the database: %s", type(error).__name__)
        self._lacks_database, self._leads = True, False
        connection.close()

    def _seal_studies(self) -> None:
        """Seal studies that are due. Without an active bundle they stay open: nothing could analyse them."""
        lacked, self._lacks_bundle = self._lacks_bundle, not _active_bundles().exists()
        if self._lacks_bundle:
            if not lacked:
                logger.warning("No bundle is active: studies wait for one")
            return
        act_on_each(studies_due()[:_PER_ROUND], lambda study: try_to_seal(study=study, actor=PORTAL))

    def _finish_submissions(self) -> None:
        """Finish submissions that no file has come to for a while."""
        silent_since = Now() - timedelta(seconds=settings.FINISH_AFTER_SECONDS)
        abandoned = Submission.objects.open().filter(last_upload_at__lt=silent_since)
        act_on_each(
            abandoned.order_by("last_upload_at")[:_PER_ROUND],
            lambda submission: finish_submission(submission=submission, actor=PORTAL),
        )

    def _wake(self) -> None:
        """Wake a worker: for work whose wake-up was lost or came too early, or to load another bundle.

        One wake-up is enough: it lies unread while all are busy, and the worker that takes it wakes the next.
        """
        active = _active_bundles().first()
        if has_due() or (active and live_workers().exclude(bundle=active.name).exists()):
            wake_workers()

    def _remove_orphans(self) -> None:
        """Go on with the search for a moment, or begin the next one when it is time."""
        if self._sweep is None:
            if time.monotonic() < self._next_sweep:
                return
            self._sweep = sweep()
            self._next_sweep = time.monotonic() + settings.ORPHAN_SWEEP_SECONDS
        end = time.monotonic() + _SWEEP_SECONDS
        walk, self._sweep = self._sweep, None  # a walk that fails is over
        for _removed in walk:
            if time.monotonic() > end or self._stop.is_set():
                self._sweep = walk
                return

    def _apply_retention(self) -> None:
        """Delete a few studies a round until none is due, then what has expired; again after a day."""
        if time.monotonic() >= self._next_retention and not apply_retention(limit=_RETAINED_PER_ROUND):
            SessionStore.clear_expired()
            forget_visits()
            self._next_retention = time.monotonic() + _RETENTION_SECONDS

    def _anchor_audit(self) -> None:
        """Write the ends of the audit chains down every ``AUDIT_ANCHOR_SECONDS``, if one has moved."""
        if time.monotonic() < self._next_anchor:
            return
        self._next_anchor = time.monotonic() + settings.AUDIT_ANCHOR_SECONDS
        anchors = current_anchors()
        ends = {(anchor.clinic, anchor.number) for anchor in anchors}
        if ends != self._anchored:
            write_anchors(anchors)
            self._anchored = ends

    def _log_queue(self) -> None:
        """Log the figures that say how many workers are needed, every ``QUEUE_LOG_SECONDS``."""
        if not settings.QUEUE_LOG_SECONDS or time.monotonic() < self._next_log:
            return
        self._next_log = time.monotonic() + settings.QUEUE_LOG_SECONDS
        heads = head_of_queue().values()
        fields = {
            "event": "queue",
            "due": sum(count for count, _ in heads),
            "oldest_seconds": round(max(age for _, age in heads), 1),
            "workers": live_workers().count(),
        }
        logger.info(
            "%(due)d analyses wait, the first for %(oldest_seconds)s s, for %(workers)d workers",
            fields,
            extra={"fields": fields},
        )


def _beat() -> None:
    Heartbeat.objects.update_or_create(name=Heartbeat.RECONCILER, defaults={"last_seen": Now()})


def _active_bundles() -> QuerySet[Bundle]:
    return Bundle.objects.active()
