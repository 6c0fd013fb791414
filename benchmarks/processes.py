"""A portal's processes for a measurement, as the Procfile starts them, and people with sessions."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.load import Person
from benchmarks.pictures import ROOT
from benchmarks.registry import UnmeasurableError
from xrayportal.embedded.ports import choose_port, is_free
from xrayportal.embedded.processes import wait_until
from xrayportal.embedded.supervisor import parse_procfile

if TYPE_CHECKING:
    from django.test import Client


def person(port: int, browser: Client) -> Person:
    """The signed-in browser as somebody who asks over the network."""
    from django.conf import settings

    session, token = browser.cookies[settings.SESSION_COOKIE_NAME].value, "a" * 32
    cookies = f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={token}"
    return Person(port, {"Cookie": cookies, "X-CSRFToken": token})


@contextmanager
def web(environment: dict[str, str]) -> Iterator[int]:
    """The web processes, on a free port. Raises `UnmeasurableError` if they do not listen within a minute."""
    port = choose_port()
    with process({**environment, "PORT": str(port)}, "web"):
        if not wait_until(lambda: not is_free(port), seconds=60):
            raise UnmeasurableError("the web processes do not listen")
        yield port


@contextmanager
def process(environment: dict[str, str], name: str) -> Iterator[subprocess.Popen[bytes]]:
    """One line of the Procfile, with the programs of this Python."""
    lines = parse_procfile((ROOT / "Procfile").read_text())
    programs = f"{Path(sys.executable).parent}:{environment['PATH']}"
    with subprocess.Popen(
        ["/bin/sh", "-c", f"exec {lines[name]}"],
        cwd=ROOT,
        env={**environment, "PATH": programs},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for_workers(count: int = 1) -> None:
    """Wait until so many workers have loaded their network. Raises `UnmeasurableError`."""
    from xrayportal.analyses.workers import live_workers

    def are_ready() -> bool:
        return live_workers().exclude(bundle="").count() >= count

    if not wait_until(are_ready, seconds=120, pause=0.2):
        raise UnmeasurableError("a worker did not load its bundle")
