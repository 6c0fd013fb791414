"""A decoding child that every file ends, as a fault in a codec would."""

from __future__ import annotations

import os
import signal
import socket
import sys

from inference_worker.decode.limits import Limits
from inference_worker.decode.wire import receive, send

if __name__ == "__main__":
    connection = socket.socket(fileno=int(sys.argv[1]))
    send(connection, {"ready": True})
    receive(connection, Limits().file_bytes)
    os.kill(os.getpid(), signal.SIGSEGV)
