"""What PostgreSQL and Redis have in common: starting on a port that is free, and again when they end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from xrayportal.embedded.backoff import Backoff
from xrayportal.embedded.errors import StartProblem
from xrayportal.embedded.ports import choose_port, is_free

ATTEMPTS = 3


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

    def __init__(
        self,
        servers: Mapping[str, Server],
        *,
        note: Callable[[str, int], None],
        say: Callable[[str], None],
    ) -> None:
        """``note`` takes name and number of each that was started again, ``say`` a sentence about it."""
        self._servers = dict(servers)
        self._backoffs = {name: Backoff() for name in servers}
        self._note = note
        self._say = say

    def look(self) -> None:
        """Start those that have ended, and those whose pause is over since that did not help."""
        for name, server in self._servers.items():
            backoff = self._backoffs[name]
            if server.has_ended() and not backoff.is_waiting:
                backoff.begin()
            if backoff.is_due:
                self._start(name, server, backoff)

    def _start(self, name: str, server: Server, backoff: Backoff) -> None:
        try:
            server.start()
        except StartProblem as problem:
            self._say(f"{name} ended by itself and is tried again in {backoff.begin():g} s. {problem}")
            return
        backoff.started()
        self._note(name, server.pid)
        self._say(f"{name} had ended by itself and was started again.")
