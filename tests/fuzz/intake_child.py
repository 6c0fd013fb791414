"""Parses one file after another as the portal's doors do, and tells what became of each."""

from __future__ import annotations

import io
import logging
import socket
import sys
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import django

from inference_worker.decode.wire import WireError, receive, send

BODY_PARTS = ("wrist", "knee")
_CHUNK_BYTES = 4096


def serve(connection: socket.socket) -> None:
    """Answer until the other side is gone."""
    django.setup()
    logging.disable()
    from xrayportal.dicom.stow import BadBodyError
    from xrayportal.intake.rejection import RejectedError

    doors = {"file": _file, "archive": _archive, "table": _table, "body": _body}
    send(connection, {"ready": True})
    while True:
        header, data = receive(connection, 2**30)
        try:
            door: Callable[[bytes], Any] = doors[header["door"]]
            door(bytes(data))
            answer = {"outcome": "taken"}
        except RejectedError as error:
            error.sentence("a.png")
            answer = {"outcome": error.kind}
        except BadBodyError as error:
            answer = {"outcome": f"HTTP {error.status}"}
        except Exception as error:  # noqa: BLE001  whatever it is, it is what is looked for
            last = traceback.extract_tb(error.__traceback__)[-1]
            answer = {"error": f"{type(error).__name__} in {last.filename}:{last.lineno}"}
        send(connection, answer)


def _file(data: bytes) -> None:
    """A picture or DICOM file; what the portal took it takes again, and its DICOM it can write anew."""
    from xrayportal.dicom.identifiers import identifiers_in
    from xrayportal.intake.prepare import prepare

    clinic: Any = SimpleNamespace(pk=1, pseudonym_key=b"k" * 32)
    identifiers_in(data)
    taken = prepare(io.BytesIO(data), len(data), clinic)
    again = prepare(io.BytesIO(taken.content), len(taken.content), clinic)
    if taken.media_type != "application/dicom" and again.content != taken.content:
        raise AssertionError("what is stored is not what would be stored of it")


def _archive(data: bytes) -> None:
    """Every member that is not refused, unpacked, and the tables among them parsed."""
    from xrayportal.intake.bulk.archives import Archive
    from xrayportal.intake.bulk.labels import is_labels
    from xrayportal.intake.filenames import clean_filename, comparable_path
    from xrayportal.intake.rejection import RejectedError

    for member in (archive := Archive(io.BytesIO(data))):
        clean_filename(member.path)
        comparable_path(member.path)
        if member.refusal is not None:
            continue
        try:
            content = archive.unpack(member)
            if is_labels(member.path):
                _table(content)
        except RejectedError:  # of one member, not of the archive
            continue


def _table(data: bytes) -> None:
    """The rows, and what a submission keeps of them."""
    from xrayportal.intake.bulk.labels import as_json, from_json, parse_labels

    rows = parse_labels(data, BODY_PARTS)
    from_json(as_json(rows, "a/labels.csv", "key"))


def _body(data: bytes) -> None:
    """A request of DICOMweb, in pieces as they come, and who each object says it is."""
    from xrayportal.dicom.stow import read_parts

    chunks = (data[at : at + _CHUNK_BYTES] for at in range(0, len(data), _CHUNK_BYTES))
    kind = 'multipart/related; type="application/dicom"; boundary=7f9c'
    read_parts(kind, chunks, lambda part: part.identity())


if __name__ == "__main__":
    try:
        serve(socket.socket(fileno=int(sys.argv[1])))
    except (WireError, OSError):
        sys.exit(0)
