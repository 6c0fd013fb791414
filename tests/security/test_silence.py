"""A sender who falls silent in the middle of a request to a real gunicorn with one thread."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.embedded.test_portal import ROOT
from tests.waiting import PATIENCE
from xrayportal.embedded.ports import choose_port, is_free
from xrayportal.embedded.processes import wait_until


@contextmanager
def one_thread(port: int) -> Iterator[None]:
    """A web process that serves one request at a time and waits a second for more of it."""
    options = f"--bind 127.0.0.1:{port} --worker-class xrayportal.http_worker.LaneWorker"
    options += " --threads 1 --preload --no-control-socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "xrayportal.wsgi", *options.split()],
        cwd=ROOT,
        env={**os.environ, "SILENCE_SECONDS": "1"},
        stderr=subprocess.DEVNULL,
    )
    try:
        assert wait_until(lambda: not is_free(port), seconds=PATIENCE)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_a_silent_sender_holds_no_thread() -> None:
    port = choose_port()
    head = (
        b"POST /sign-in/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: csrftoken=" + b"a" * 32 + b"\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\nusername="
    )
    with one_thread(port), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as silent:
        silent.sendall(head)
        # A body so long is read by a thread. It gives it up; its page is not checked here.
        assert silent.recv(100).startswith(b"HTTP/1.1 ")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE) as answer:
            assert answer.status == 200
