"""What PostgreSQL and Redis have in common: starting on a port that is free."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from xrayportal.embedded.errors import StartProblem
from xrayportal.embedded.ports import choose_port, is_free

ATTEMPTS = 3


class Server(Protocol):
    """A server that we start and stop."""

    port: int

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
