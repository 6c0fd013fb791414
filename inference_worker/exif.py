"""EXIF's orientation, for the intake, which keeps nothing else of EXIF, and for the decoder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

TAG = 0x0112
#: What a JPEG writes before the block, and some programs in PNG, too.
_PREFIX = b"Exif\x00\x00"
#: Bytes of a value by its type: BYTE, SHORT and LONG. The standard says SHORT; cameras write the others too.
_SIZES = {1: 1, 3: 2, 4: 4}


def orientation(blocks: Iterable[bytes]) -> int:
    """The orientation (1 to 8) that the first TIFF-structured block to state one states; 1 where none does.

    A block that is longer than a JPEG's segment goes on in the next one.
    """
    known = [block.removeprefix(_PREFIX) for block in blocks]
    for block in (*known, b"".join(known)):
        stated = _stated(block)
        if stated is not None:
            return stated
    return 1


def _stated(block: bytes) -> int | None:
    order: Literal["little", "big"] | None = "little" if block[:2] == b"II" else None
    order = "big" if block[:2] == b"MM" else order
    if order is None or len(block) < 8:
        return None
    start = int.from_bytes(block[4:8], order)
    if start + 2 > len(block):
        return None
    for at in range(start + 2, start + 2 + 12 * int.from_bytes(block[start : start + 2], order), 12):
        entry = block[at : at + 12]
        if len(entry) < 12:
            break
        size = _SIZES.get(int.from_bytes(entry[2:4], order), 0)
        if int.from_bytes(entry[:2], order) == TAG and size and int.from_bytes(entry[4:8], order) == 1:
            value = int.from_bytes(entry[8 : 8 + size], order)
            return value if 1 <= value <= 8 else None
    return None
