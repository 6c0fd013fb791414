"""EXIF's orientation, the only value of EXIF that is kept."""

from __future__ import annotations

import struct

_ORIENTATION = 0x0112
_SHORT = 3


def orientation(block: bytes) -> int:
    """Parse the orientation (1 to 8) of a TIFF-structured EXIF block; 1 where it states none."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return 1
    start = struct.unpack_from(f"{order}I", block, 4)[0]
    if start + 2 > len(block):
        return 1
    for index in range(struct.unpack_from(f"{order}H", block, start)[0]):
        at = start + 2 + 12 * index
        if at + 12 > len(block):
            break
        tag, kind, count, value = struct.unpack_from(f"{order}HHIH", block, at)
        if (tag, kind, count) == (_ORIENTATION, _SHORT, 1):
            return int(value) if 1 <= value <= 8 else 1
    return 1


def block(value: int) -> bytes:
    """Make an EXIF block (26 bytes) that states this orientation and nothing else."""
    return struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, _ORIENTATION, _SHORT, 1, value, 0, 0)
