"""A Celery worker that is slow, or that dies or hangs on one file: for tests only.

``STRANGE_SECONDS`` is added to every picture. A file whose bytes contain ``STRANGE_POISON`` kills the worker
on the spot, as a fault of a network's library would; one that contains ``STRANGE_HANG`` never comes back.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from celery.__main__ import main

from inference_worker.decode.isolated import DecodeProcess

SECONDS = float(os.environ.get("STRANGE_SECONDS", "0"))
POISON = os.environ.get("STRANGE_POISON", "").encode()
HANG = os.environ.get("STRANGE_HANG", "").encode()

_begin = DecodeProcess.begin


def strange_begin(self: DecodeProcess, data: bytes) -> None:
    """As the real one, after the strangeness."""
    time.sleep(SECONDS)
    if POISON and POISON in data:
        os.kill(os.getpid(), signal.SIGKILL)
    if HANG and HANG in data:
        # As a library that is stuck in C: no Python signal handler gets to run.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        time.sleep(3600)
    _begin(self, data)


if __name__ == "__main__":
    DecodeProcess.begin = strange_begin  # type: ignore[method-assign]
    sys.exit(main())
