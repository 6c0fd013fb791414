"""The decoding child: ``python -m inference_worker.decode.child SOCKET LIMITS``.

It takes files' bytes from the socket, one at a time, and answers with pixels or with the error. Its address
space is bounded, so a decoder that asks for too much fails here and takes no memory from others.
`inference_worker.decode.isolated` starts it, and ends it when it takes too long.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import sys
from typing import Any

from numpy.typing import NDArray

from inference_worker.decode import DecodeHere, subprocess_decode
from inference_worker.decode.limits import Limits
from inference_worker.decode.wire import WireError, packed, receive, send
from inference_worker.types import UnreadableError

_PR_SET_PDEATHSIG = 1


def main(connection: socket.socket, limits: Limits) -> None:
    """Answer until the other side closes the connection."""
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which then closes the socket
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # an administrator's own limit may be lower
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    # A codec that ends its process ends this one, which is there for it.
    subprocess_decode.is_expendable = True
    send(connection, {"ready": True})
    while True:
        try:
            _header, data = receive(connection, limits.file_bytes)
        except WireError:
            return
        _answer(connection, bytes(data), limits)


def _answer(connection: socket.socket, data: bytes, limits: Limits) -> None:
    header: dict[str, Any]
    arrays: list[NDArray[Any]] = []
    decoder = DecodeHere(limits)
    decoder.begin(data)
    try:
        header = {"decoded": packed(decoder.result(), arrays)}
    except UnreadableError as error:
        header = {"kind": error.kind, "sentence": str(error)}
    except MemoryError:
        header = {"is_out_of_memory": True}
    send(connection, header, arrays)


def _end_with_parent() -> None:
    """Ask the kernel (Linux) to end us when the worker ends, also while a decoder is busy."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(0)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), Limits(**json.loads(sys.argv[2])))
