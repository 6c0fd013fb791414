"""An EXIF block of what is kept of EXIF: the way up, and pixels that are not square."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from fractions import Fraction

from inference_worker import exif

_SHORT, _RATIONAL = 3, 5
_HEADER = struct.pack("<2sHI", b"II", 42, 8)


def kept(blocks: Iterable[bytes], *, asks_resolution: bool) -> bytes:
    """What is kept of a file's EXIF blocks, as one block; empty where they say nothing that is needed.

    ``asks_resolution`` is false where the file states by other means how high its pixels are by their width.
    """
    stated = exif.read(blocks)
    tall = stated.tall if asks_resolution and stated.tall != 1 else None
    return b"" if (stated.orientation, tall) == (1, None) else block(stated.orientation, tall)


def block(orientation: int, tall: Fraction | None = None) -> bytes:
    """Make an EXIF block that states this orientation, this ratio of a pixel's sides, and nothing else."""
    entries = [struct.pack("<HHIHH", exif.ORIENTATION, _SHORT, 1, orientation, 0)]
    values = b""
    if tall is not None:
        after = len(_HEADER) + 2 + 12 * 3 + 4
        for tag, number in ((exif.X_RESOLUTION, tall.numerator), (exif.Y_RESOLUTION, tall.denominator)):
            entries.append(struct.pack("<HHII", tag, _RATIONAL, 1, after + len(values)))
            values += struct.pack("<II", number, 1)
    return b"".join([_HEADER, struct.pack("<H", len(entries)), *entries, bytes(4), values])
