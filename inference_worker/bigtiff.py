"""BigTIFF with the directories of an ordinary TIFF, for the intake and the decoder, which know those.

BigTIFF differs in the width of its counts and offsets (64 bits). A file that may be sent here fits 32 bits.
"""

from __future__ import annotations

import struct
from typing import Literal

from inference_worker.types import UnreadableError

_BIG = {b"II": b"+\x00", b"MM": b"\x00+"}
_HEADER_BYTES, _ENTRY_BYTES = 16, 20
_MOST_DIRECTORIES, _MOST_TAGS, _MOST_VALUES = 32, 1000, 300_000
#: Bytes of one value, by field type; those of 64 bits that become 32 bits wide.
_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_WIDE, _LONG = (16, 17, 18), 4
_WHOLE = {3: "H", 4: "I", 16: "Q"}
#: Where strips and tiles begin, and how many bytes each has.
_PIECES = {273: 279, 324: 325}


def is_big(data: bytes) -> bool:
    """Whether a file is a BigTIFF."""
    return data[2:4] == _BIG.get(data[:2])


def classic(data: bytes) -> bytes:
    """A BigTIFF as an ordinary TIFF: what it points to stays where it lies, new directories follow.

    Any other file is returned as it is. Raises `UnreadableError` (``truncated``, ``corrupt``).
    """
    if not is_big(data):
        return data
    order: Literal["<", ">"] = "<" if data[:2] == b"II" else ">"
    if len(data) < _HEADER_BYTES:
        raise _truncated()
    out = bytearray(data)
    out += bytes(len(out) % 2)
    link, at = 4, struct.unpack_from(f"{order}Q", data, 8)[0]
    out[2:8] = struct.pack(f"{order}HI", 42, 0)
    seen: set[int] = set()
    while at:
        if at in seen or len(seen) >= _MOST_DIRECTORIES:
            raise _corrupt()
        seen.add(at)
        entries, at = _directory(data, order, at, out)
        struct.pack_into(f"{order}I", out, link, len(out))
        out += struct.pack(f"{order}H", len(entries)) + b"".join(entries)
        link = len(out)
        out += bytes(4)
    return bytes(out)


def _directory(data: bytes, order: str, start: int, out: bytearray) -> tuple[list[bytes], int]:
    """The directory's entries as an ordinary TIFF has them, and the offset of the next directory.

    Values that do not lie in the file as they must are added to ``out``.
    """
    if start + 8 > len(data):
        raise _truncated()
    number = struct.unpack_from(f"{order}Q", data, start)[0]
    end = start + 8 + _ENTRY_BYTES * number
    if number > _MOST_TAGS:
        raise _corrupt()
    if end + 8 > len(data):
        raise _truncated()
    entries: list[bytes] = []
    pieces: dict[int, tuple[int, ...]] = {}
    for at in range(start + 8, end, _ENTRY_BYTES):
        tag, kind, count = struct.unpack_from(f"{order}HHQ", data, at)
        size = _SIZES.get(kind, 0) * count
        where = at + 12 if size <= 8 else struct.unpack_from(f"{order}Q", data, at + 12)[0]
        if kind not in _SIZES:
            continue
        if where + size > len(data):
            raise _truncated()
        if tag in {*_PIECES, *_PIECES.values()} and kind in _WHOLE and count <= _MOST_VALUES:
            pieces[tag] = struct.unpack_from(f"{order}{count}{_WHOLE[kind]}", data, where)
        if kind in _WIDE:
            raw = _narrowed(data[where : where + size], order, count)
            kind, size = _LONG, len(raw)
        elif size <= 8:
            raw = data[where : where + size]
        else:
            entries.append(struct.pack(f"{order}HHII", tag, kind, count, where))
            continue
        if size > 4:
            place = len(out)
            out += raw + bytes(len(raw) % 2)
            raw = struct.pack(f"{order}I", place)
        entries.append(struct.pack(f"{order}HHI", tag, kind, count) + raw.ljust(4, b"\x00"))
    for starts, sizes in _PIECES.items():  # the new directories must not lie where pixels are missing
        places = zip(pieces.get(starts, ()), pieces.get(sizes, ()), strict=False)
        if any(start + length > len(data) for start, length in places):
            raise _truncated()
    return entries, struct.unpack_from(f"{order}Q", data, end)[0]


def _narrowed(raw: bytes, order: str, count: int) -> bytes:
    if count > _MOST_VALUES:
        raise _corrupt()
    values = struct.unpack(f"{order}{count}Q", raw)
    if any(value >= 2**32 for value in values):
        raise _corrupt()
    return struct.pack(f"{order}{count}I", *values)


def _truncated() -> UnreadableError:
    return UnreadableError("truncated", "The TIFF ends before its last line; send it again from its source.")


def _corrupt() -> UnreadableError:
    return UnreadableError("corrupt", "The BigTIFF is damaged; export it as ordinary TIFF.")
