"""A portal's processes for a measurement, as the Procfile starts them, and people with sessions."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.load import Person
from benchmarks.pictures import ROOT
from benchmarks.registry import UnmeasurableError

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
    """The web processes, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    with process({**environment, "PORT": str(port)}, "web"):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.2)
            else:
                break
        yield port


@contextmanager
def process(environment: dict[str, str], name: str) -> Iterator[subprocess.Popen[bytes]]:
    """One line of the Procfile, with the programs of this Python."""
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
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

    deadline = time.monotonic() + 120
    while live_workers().exclude(bundle="").count() < count:
        if time.monotonic() > deadline:
            raise UnmeasurableError("a worker did not load its bundle")
        time.sleep(0.2)
