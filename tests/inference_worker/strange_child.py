"""A decoding child that does on marked files what broken decoders do: for tests only."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys

from inference_worker import codestream, decode
from inference_worker.decode import child
from inference_worker.decode.limits import Limits
from inference_worker.types import Radiograph

_decode = decode.decode


def strange_decode(data: bytes, limits: Limits | None = None) -> Radiograph:
    """As the real one, after the strangeness."""
    if b"hang" in data:
        while True:  # no signal handler of Python's runs in there
            ctypes.CDLL(None).sleep(3600)
    if b"spin" in data:
        sum(range(10**12))
    if b"crash" in data:
        ctypes.string_at(0)
    if b"killed" in data:
        os.kill(os.getpid(), signal.SIGKILL)
    if b"swell" in data:
        bytearray(16 * 1024**3)
    if b"lie" in data:
        os.write(int(sys.argv[1]), b"{}" * 40)
    if b"unchecked" in data:
        codestream.check = lambda *_: None
    return _decode(data, limits)


if __name__ == "__main__":
    decode.decode = strange_decode
    child.main(socket.socket(fileno=int(sys.argv[1])), Limits(**json.loads(sys.argv[2])))
