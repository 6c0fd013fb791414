"""Wake-ups for the workers. Redis is a hint: when it fails, the reconciler's next round makes up for it."""

from __future__ import annotations

import logging
import threading
import time

from django.db import transaction
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from xrayportal.celery import QUEUE, WAKE_UP, app

logger = logging.getLogger(__name__)

#: So many unread wake-ups are enough: the worker that takes one sees all that was committed before, and a
#: worker that fills its batch wakes the next one. A thousand studies do not make a thousand messages.
ENOUGH = 8
#: After a failure, requests go on without trying Redis again for this long, and without a second warning.
QUIET_SECONDS = 5.0


class _Breaker:
    """Remembers that Redis failed; shared by the threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._failing = False

    def is_open(self) -> bool:
        return time.monotonic() >= self._closed_until

    def failed(self, error: Exception) -> None:
        with self._lock:
            first, self._failing = not self._failing, True
            self._closed_until = time.monotonic() + QUIET_SECONDS
        if first:
            logger.warning("Redis takes no wake-ups, the reconciler will: %s", type(error).__name__)

    def worked(self) -> None:
        with self._lock:
            again, self._failing = self._failing, False
        if again:
            logger.info("Redis takes wake-ups again")


_breaker = _Breaker()


def wake_workers() -> bool:
    """Put one wake-up into Redis unless enough lie there unread; ``False`` when Redis did not answer.

    Never raises for a broken Redis and never waits longer than the socket timeouts of
    ``xrayportal/celery.py``. Call it after the commit of what the workers shall find.
    """
    if not _breaker.is_open():
        return False
    try:
        with app.producer_pool.acquire(block=True, timeout=1) as producer:
            unread = producer.channel.queue_declare(queue=QUEUE).message_count
            if unread < ENOUGH:
                app.send_task(WAKE_UP, producer=producer, retry=False)
    except (KombuError, RedisError, OSError) as error:
        _breaker.failed(error)
        return False
    _breaker.worked()
    return True


def wake_workers_on_commit() -> None:
    """Wake the workers once after the present transaction, however many analyses it requests."""
    waiting = transaction.get_connection().run_on_commit
    if not any(entry[1] is wake_workers for entry in waiting):
        transaction.on_commit(wake_workers)
