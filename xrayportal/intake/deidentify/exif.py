"""An EXIF block of an orientation alone, the only value of EXIF that is kept (`inference_worker.exif`)."""

from __future__ import annotations

import struct

from inference_worker.exif import TAG

_SHORT = 3


def block(value: int) -> bytes:
    """Make an EXIF block (26 bytes) that states this orientation and nothing else."""
    return struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, TAG, _SHORT, 1, value, 0, 0)
