"""Pauses before something is started again: longer each time, short again once it has run for a while."""

from __future__ import annotations

import time

FIRST, LONGEST = 1.0, 30.0
#: After so many seconds without trouble the next pause is the first again.
SETTLED = 60.0


class Backoff:
    """The pauses of one process. Its first start again is at once: most ends happen once."""

    def __init__(self) -> None:
        self._pause = 0.0
        self._due: float | None = None
        self._started = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the pause is over."""
        return self._due is not None and time.monotonic() >= self._due

    @property
    def is_waiting(self) -> bool:
        """Whether a pause has begun, and nothing was started since."""
        return self._due is not None

    def begin(self) -> float:
        """Begin the pause after an end; returns its seconds."""
        if not self.is_waiting and time.monotonic() - self._started > SETTLED:
            self._pause = 0.0
        pause, self._pause = self._pause, min(max(FIRST, 2 * self._pause), LONGEST)
        self._due = time.monotonic() + pause
        return pause

    def started(self) -> None:
        """Note a start."""
        self._due, self._started = None, time.monotonic()
