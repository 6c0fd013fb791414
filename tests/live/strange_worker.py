"""A Celery worker with a decoder that is slow, or that dies or hangs on one file: for tests only.

``STRANGE_SECONDS`` is added to every decoding. A file whose bytes contain ``STRANGE_POISON`` kills the
process on the spot, as a broken codec would; one that contains ``STRANGE_HANG`` never comes back.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from celery.__main__ import main

from inference_worker import pipeline
from inference_worker.decode import decode
from inference_worker.decode.limits import Limits
from inference_worker.types import Radiograph

SECONDS = float(os.environ.get("STRANGE_SECONDS", "0"))
POISON = os.environ.get("STRANGE_POISON", "").encode()
HANG = os.environ.get("STRANGE_HANG", "").encode()


def strange_decode(data: bytes, limits: Limits) -> Radiograph:
    """As the real one, after the strangeness."""
    time.sleep(SECONDS)
    if POISON and POISON in data:
        os.kill(os.getpid(), signal.SIGKILL)
    if HANG and HANG in data:
        # As a codec that is stuck in C: no Python signal handler gets to run.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        time.sleep(3600)
    return decode(data, limits)


if __name__ == "__main__":
    pipeline.decode = strange_decode
    sys.exit(main())
