"""What PostgreSQL and Redis have in common: starting on a port that is free, and again when they end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from xrayportal.embedded.errors import StartProblem
from xrayportal.embedded.ports import choose_port, is_free

ATTEMPTS = 3
#: A server that ended by itself so often within so many seconds is left alone.
RESTARTS, WITHIN_SECONDS = 5, 120.0


class Server(Protocol):
    """A server that we start and stop."""

    port: int

    @property
    def pid(self) -> int:
        """Of the running server."""

    def has_ended(self) -> bool:
        """Whether it does not run (any more)."""

    def start(self) -> None:
        """Start and wait until it answers, or ``StartProblem``."""

    def stop(self) -> None:
        """End it; harmless when it does not run."""


S = TypeVar("S", bound=Server)


def start_on_free_port(make: Callable[[int], S], *, remembered: int | None = None) -> S:
    """Start ``make(port)`` on the remembered port if that is free, else on another one.

    Another program may take the port between the look and the start; then the next one is tried.
    """
    for attempt in range(1, ATTEMPTS + 1):
        usable = attempt == 1 and remembered is not None and is_free(remembered)
        port = remembered if usable and remembered is not None else choose_port()
        server = make(port)
        try:
            server.start()
        except StartProblem:
            if attempt == ATTEMPTS or is_free(port):
                raise  # the port was not the reason
        else:
            return server
    raise AssertionError("unreachable: the last attempt returns or raises")


class Keeper:
    """Starts servers again, on the same port with the same data, that end although nobody stopped them."""

    def __init__(self, servers: Mapping[str, Server], *, note: Callable[[str, int], None]) -> None:
        """``note`` is told the name and the number of each that was started again."""
        self._servers = dict(servers)
        self._note = note
        self._restarts: deque[float] = deque(maxlen=RESTARTS)

    def look(self) -> list[str]:
        """Start those that have ended and return their names; ``StartProblem`` where that does not help."""
        ended = [name for name, server in self._servers.items() if server.has_ended()]
        for name in ended:
            now = time.monotonic()
            if len(self._restarts) == RESTARTS and now - self._restarts[0] < WITHIN_SECONDS:
                raise StartProblem(f"{name} ended by itself again and again.")
            self._restarts.append(now)
            self._start(self._servers[name])
            self._note(name, self._servers[name].pid)
        return ended

    def _start(self, server: Server) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                server.start()
            except StartProblem:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(1)  # what is left of the killed one goes by itself
            else:
                return
