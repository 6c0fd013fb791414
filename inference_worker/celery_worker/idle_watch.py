"""The thread by which an idle worker finds work while Redis is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.conf import settings
from django.db import Error, connection

from inference_worker.celery_worker.errors import where

logger = logging.getLogger(__name__)


class IdleWatch(threading.Thread):
    """Asks PostgreSQL for work now and then, so that none waits for a wake-up that Redis has lost.

    ``look`` works on what waits, and returns soon when `is_ending` has become true.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__(name="idle watch", daemon=True)
        self._look = look
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
                self._look()
                is_away = False
            except Error as error:
                if not is_away:
                    logger.warning("No work can be asked for: %s", type(error).__name__)
                is_away = True
                connection.close()
            except Exception as error:  # noqa: BLE001  # the thread must go on; the next wake-up meets it too
                logger.error("Asking for work failed: %s", where(error))
        connection.close()
