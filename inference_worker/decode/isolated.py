"""Decodes in a child process that is kept, so that no file can hold a worker, take its memory or end it.

A decoder in C heeds neither Python's signals nor its exceptions. The child can be killed at any time; the
next one is there within a second. For an ordinary picture the way through the socket takes a millisecond.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

from inference_worker.decode.limits import Limits
from inference_worker.decode.wire import WireError, receive, send, unpacked
from inference_worker.types import Decoded, Radiograph, UnreadableError

#: While a picture decodes, its time is looked at so often.
_LOOK_SECONDS = 0.1
#: A look that comes later than this was held up by something else than the picture.
_LATE_SECONDS = 1.0
#: A child that is slowed down by other programs may take so much longer than its processor time.
_PATIENCE = 5
#: Python and the decoders' libraries, from a cold disk.
_START_SECONDS = 60.0
#: Deaths that a decoder brings about by itself. Others come from outside: the system, or a person.
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})
_ATTEMPTS = 2
#: The kind of a picture that takes too long.
TOO_SLOW = "too_slow"
_BYTES_PER_PIXEL = 4
_MOST_KIND, _MOST_SENTENCE = 40, 1000
_TICKS = os.sysconf("SC_CLK_TCK")
#: A worker analyses one picture at a time: idle threads of a matrix library cost address space and spin.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

#: The module that the child runs.
CHILD = "inference_worker.decode.child"
_ROOT = Path(__file__).resolve().parents[2]


class DecoderUnavailableError(Exception):
    """No decoding child can be started here: the machine's trouble, not the file's."""


class DecodeProcess:
    """The kept child. One picture at a time: ``begin`` it, and take it with ``result``; for one thread.

    ``while_waiting`` is called ten times a second while a picture takes long; what it raises ends the
    decoding.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.while_waiting: Callable[[], object] = lambda: None
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._is_ready = False
        self._data: bytes | None = None
        self._began = self._before = 0.0

    @property
    def pid(self) -> int | None:
        """The number of the child's process, if there is one."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the child, if there is none, without waiting for it. Raises `DecoderUnavailableError`."""
        if self._process is not None and self._process.poll() is None:
            return
        self.end()
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-m", CHILD),
                        *(str(theirs.fileno()), json.dumps(asdict(self.limits))),
                    ],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": path, **_ONE_THREAD},
                )
            except OSError as error:
                ours.close()
                raise DecoderUnavailableError(str(error)) from error
        self._connection, self._is_ready = ours, False

    def begin(self, data: bytes) -> None:
        """Hand over a file's bytes and return at once. Raises `DecoderUnavailableError`."""
        # What is refused for its size is not sent; `result` says so.
        self._data = data
        if 0 < len(data) <= self.limits.file_bytes:
            self._send()

    def result(self) -> Decoded:
        """Wait for the picture that was begun.

        Raises `UnreadableError`, with the kinds of `inference_worker.decode.decode` and ``too_slow``,
        ``too_much_memory``; and `DecoderUnavailableError`.
        """
        if self._data is None:
            raise RuntimeError("no picture was begun")
        try:
            self.limits.check_bytes(len(self._data))
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return self._received()
                except (WireError, OSError):
                    status = self._died()
                    self.start()
                    if -status in _CRASHES:
                        raise _ended() from None
                    if attempt == _ATTEMPTS:
                        raise _too_much_memory() from None
                    self._send()  # somebody else ended it
            raise AssertionError("unreachable: the last attempt returns or raises")
        except (UnreadableError, DecoderUnavailableError):
            raise
        except BaseException:
            self.end()  # what it is busy with is of no use to anybody
            raise
        finally:
            self._data = None

    def give_up(self) -> None:
        """Drop the picture that was begun, if there is one."""
        if self._data is not None:
            self._data = None
            self.end()  # what it is busy with is of no use to anybody

    def decode(self, data: bytes) -> Radiograph:
        """Decode a whole file's bytes. Raises as ``result`` does."""
        self.begin(data)
        return self.result().radiograph

    def __enter__(self) -> DecodeProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End the child; the next picture starts another."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._connection = None

    def _send(self) -> None:
        """Hand the bytes to a child that is ready; one that has just died is replaced, once."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self.start()
                connection = self._ready()
                self._before = self._processor_seconds()
                self._began = monotonic()
                send(connection, {}, [self._data or b""])
            except (WireError, OSError) as error:
                self.end()
                if attempt == _ATTEMPTS:
                    raise DecoderUnavailableError(f"the decoding child ends at once: {error}") from error
            else:
                return

    def _ready(self) -> socket.socket:
        """The connection, once the child has loaded its decoders."""
        connection = self._connection
        if connection is None:
            raise WireError("the child was ended")
        if not self._is_ready:
            connection.settimeout(_START_SECONDS)
            receive(connection, 0)
            self._is_ready = True
        return connection

    def _received(self) -> Decoded:
        connection = self._connection
        if connection is None:
            raise WireError("the child was ended")
        self._wait(connection)
        connection.settimeout(_START_SECONDS)
        header, body = receive(connection, _BYTES_PER_PIXEL * self.limits.pixels)
        if header.get("is_out_of_memory"):
            raise _too_much_memory()
        if "kind" in header:
            raise UnreadableError(str(header["kind"])[:_MOST_KIND], str(header["sentence"])[:_MOST_SENTENCE])
        return _decoded(header, body)

    def _wait(self, connection: socket.socket) -> None:
        """Wait for the first byte of the answer, and end a child that takes too long.

        Time in which this process itself stood still, frozen or without a processor, does not count.
        """
        seconds, used = self.limits.seconds, 0.0
        began = moved = looked = self._began
        while not select.select([connection], [], [], _LOOK_SECONDS)[0]:
            now = monotonic()
            if (late := now - looked - _LOOK_SECONDS) > _LATE_SECONDS:
                began, moved = began + late, moved + late
            looked = now
            before, used = used, self._processor_seconds() - self._before
            if used > before or self._waits_for_processor():
                moved = now
            if used >= seconds or now - moved >= seconds or now - began >= _PATIENCE * seconds:
                self.end()
                self.start()
                raise UnreadableError(
                    TOO_SLOW,
                    f"Decoding the picture takes more than {seconds:g} seconds; "
                    "export it again as ordinary DICOM, PNG or JPEG.",
                )
            self.while_waiting()

    def _processor_seconds(self) -> float:
        """What the child has used of the processor; where no ``/proc`` says so, the time that has passed."""
        fields = self._status()
        return (int(fields[11]) + int(fields[12])) / _TICKS if fields else monotonic()

    def _waits_for_processor(self) -> bool:
        """Whether the child would go on if other programs let it: it does not hang."""
        fields = self._status()
        return bool(fields) and fields[0] == "R"

    def _status(self) -> list[str]:
        """The fields of ``/proc/PID/stat`` from the state on; none where there is no ``/proc``."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return []

    def _died(self) -> int:
        """How the child ended, as ``Popen.returncode``; one that lives but makes no sense is ended."""
        process = self._process
        if process is None:
            return 0
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        self.end()
        return process.returncode or 0


def _decoded(header: dict[str, Any], body: bytearray) -> Decoded:
    """The picture of an answer. Raises `WireError` for one that no sound child gives."""
    decoded, rest = unpacked(header.get("decoded"), memoryview(body))
    if not isinstance(decoded, Decoded) or not isinstance(decoded.radiograph, Radiograph) or rest:
        raise WireError("an answer that is no picture")
    if decoded.radiograph.pixels.ndim != 2 or not decoded.radiograph.pixels.size:
        raise WireError("an answer that is no picture")
    return decoded


def _ended() -> UnreadableError:
    return UnreadableError(
        "corrupt", "The picture is damaged in a way that ends its decoder; send it again from its source."
    )


def _too_much_memory() -> UnreadableError:
    return UnreadableError(
        "too_much_memory",
        "Decoding the picture takes more memory than allowed; "
        "export it again as ordinary DICOM, PNG or JPEG.",
    )
