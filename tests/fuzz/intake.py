"""What parses files before they are stored: headers and identifiers, archives, CSVs, bodies of DICOMweb."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from inference_worker.decode.wire import WireError, receive, send
from tests.fuzz.running import MOST_SECONDS, FailedError
from tests.fuzz.seeds import seeds

#: The module that the child runs.
CHILD = "tests.fuzz.intake_child"
#: Python and Django, from a cold disk.
_START_SECONDS = 60.0
_BOUNDARY = b"7f9c"


class Intake:
    """A `Subject`: every file goes through the door that the first word of its source's name names."""

    def __init__(self, child: str = CHILD) -> None:
        self.sources = {f"file {name}": data for name, data in seeds().items()}
        self.sources |= dict((*_archives(self.sources), *_tables(), *_bodies(self.sources)))
        self._child = child
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def pid(self) -> int | None:
        """The child's number."""
        return None if self._process is None else self._process.pid

    def take(self, name: str, data: bytes) -> str:
        """Have the child parse one file: "taken", or the kind of its refusal. Raises `FailedError`."""
        assert self._connection is not None
        try:
            send(self._connection, {"door": name.partition(" ")[0]}, [data])
            answer, _body = receive(self._connection, 0)
        except TimeoutError:
            self.restart()
            raise FailedError(f"more than {MOST_SECONDS:g} s") from None
        except (WireError, OSError):
            self.restart()
            raise FailedError("ended its process") from None
        if "error" in answer:
            raise FailedError(str(answer["error"]))
        return str(answer["outcome"])

    def restart(self) -> None:
        """Another child."""
        self._end()
        self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._child, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=Path(__file__).resolve().parents[2],
                env=os.environ | {"DJANGO_SETTINGS_MODULE": "xrayportal.offline_settings"},
            )
        ours.settimeout(_START_SECONDS)
        receive(ours, 0)
        ours.settimeout(MOST_SECONDS)
        self._connection = ours

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()


def _archives(files: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    pictures = {f"knee/{number}.bin": data for number, data in enumerate(list(files.values())[:4])}
    table = {"labels.csv": b"file,patient_reference\n0.bin,P-1\n"}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for name, data in (table | pictures).items():
                archive.writestr(name, data)
            for name in ("Müller/Röntgen.png", "__MACOSX/x", "../out.png", "inner.zip"):
                archive.writestr(name, b"PK\x03\x04")
            named = zipfile.ZipInfo("a.png")
            named.extra = b"\x75\x70\x09\x00\x01\x00\x00\x00\x00name"
            archive.writestr(named, b"")
        yield f"archive {method}", file.getvalue()
        yield f"archive {method} behind a program", b"MZ" * 40 + file.getvalue()


def _tables() -> Iterator[tuple[str, bytes]]:
    rows = "file;patient_reference;body_part;priority\nMüller.png;P-1;wrist;3\n\nsub/b.png;P-2;;-1\n"
    yield "table", rows.encode()
    yield "table commas", rows.replace(";", ",").encode("utf-8-sig")
    yield "table excel", ("sep=;\r\n" + rows.replace("\n", "\r\n")).encode("cp1252")
    yield "table utf-16", rows.replace(";", "\t").encode("utf-16")
    yield "table quoted", b'file,patient_reference\n"a ""b"".png","P, 1"\n' * 20


def _bodies(files: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    objects = [data for name, data in files.items() if name.startswith("file dicom")][:3]
    part = b"--%b\r\nContent-Type: application/dicom\r\nContent-Length: %d\r\n\r\n%b\r\n"
    body = b"".join(part % (_BOUNDARY, len(data), data) for data in objects)
    yield "body", body + b"--%b--\r\n" % _BOUNDARY
