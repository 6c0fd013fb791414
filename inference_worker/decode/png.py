"""Checks a PNG's chunks before decoding: Pillow accepts a missing end and does not check IDAT's sums."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from inference_worker.types import UnreadableError

_SIGNATURE_BYTES = 8


@dataclass(frozen=True, slots=True)
class Header:
    """Size in pixels and bits per sample, from IHDR."""

    width: int
    height: int
    depth: int


def parse_header(data: bytes) -> Header:
    """Parse the size and depth of a PNG. Raises `UnreadableError` (``truncated``, ``corrupt``)."""
    if len(data) < _SIGNATURE_BYTES + 8 + 13:
        raise _truncated()
    if data[12:16] != b"IHDR":
        raise _corrupt()
    return Header(
        width=int.from_bytes(data[16:20], "big"),
        height=int.from_bytes(data[20:24], "big"),
        depth=data[24],
    )


def check_chunks(data: bytes) -> None:
    """Walk to IEND; sums of critical chunks must match. Raises `UnreadableError`."""
    view = memoryview(data)
    at = _SIGNATURE_BYTES
    while at + 12 <= len(data):
        length = int.from_bytes(view[at : at + 4], "big")
        kind = bytes(view[at + 4 : at + 8])
        end = at + 12 + length
        if end > len(data):
            raise _truncated()
        is_critical = not kind[0] & 0x20
        if is_critical and zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise _corrupt()
        if kind == b"IEND":
            return
        at = end
    raise _truncated()


def _truncated() -> UnreadableError:
    return UnreadableError("truncated", "The PNG ends before its last line; send it again from its source.")


def _corrupt() -> UnreadableError:
    return UnreadableError(
        "corrupt", "The PNG is damaged (a checksum is wrong); send it again from its source."
    )
