"""Celery's consumer, which looks after its child while Redis is away.

Celery replaces a child that died in its event loop, which does not run while it waits for the broker: with
Redis away a worker without a child would do nothing until Redis is back. The child asks PostgreSQL for work
by itself, so a new one goes on at once.
"""

from __future__ import annotations

import logging
import select
from typing import Any

from celery.worker import consumer
from celery.worker.state import maybe_shutdown

logger = logging.getLogger(__name__)


class Consumer(consumer.Consumer):  # type: ignore[misc]  # Celery has no types
    """Waits for Redis for as long as it takes, and replaces the child meanwhile where it has died.

    It sends none of Celery's own heartbeats, which nobody reads: the first one after Redis has gone would
    hold the event loop, which sends it, until Redis is back, and with it everything above.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "without_heartbeat": True, "without_gossip": True})

    def ensure_connected(self, conn: Any) -> Any:
        """The connection once it is there. Ends as Celery does when the worker is told to end."""
        conn = conn.ensure_connection(self._report, callback=self._wait)
        self.first_connection_attempt = False
        self.broker_connection_retry_attempt = 0
        return conn

    def _report(self, error: Exception, seconds: float) -> None:
        self.broker_connection_retry_attempt += 1
        logger.error("Redis cannot be reached (%s), again in %d s", type(error).__name__, seconds)

    def _wait(self) -> None:
        """Called every second, in the main thread, where the event loop runs otherwise."""
        maybe_shutdown()
        self.pool.maintain_pool()
        # A new child says that it is up. Unread, it would be killed as one that never came up.
        pool = self.pool._pool
        for child in list(pool._waiting_to_start):
            waiting = select.poll()
            waiting.register(child.outqR_fd, select.POLLIN)
            if waiting.poll(0):
                pool.handle_result_event(child.outqR_fd)
