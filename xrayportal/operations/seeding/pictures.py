"""The few small files that all seeded rows share; drawn, because no measurement depends on their content."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass

from xrayportal.clinics.models import Clinic
from xrayportal.studies.storage import write_durably

HEIGHT, WIDTH = 320, 256
THUMBNAIL = 48


@dataclass(frozen=True, slots=True)
class SharedFiles:
    """The names of the files in the storage; ``size`` is the original's, in bytes."""

    original: str
    size: int
    display: str
    thumbnail: str
    overlay: str
    map: str


def write_shared_files(clinic: Clinic) -> SharedFiles:
    """Write the files into a folder of the clinic that the search for orphans does not enter."""
    folder = f"clinics/{clinic.pk}/seeded"
    picture = grey_png(HEIGHT, WIDTH)
    evidence = json.dumps({"height": 2, "width": 2, "scale": 4.0, "values": [0.2, 1.8, -0.6, 0.4]})
    contents = {
        "original.png": picture,
        "display.png": picture,
        "thumbnail.png": grey_png(THUMBNAIL, THUMBNAIL),
        "overlay.png": picture,
        "map.json": evidence.encode(),
    }
    for name, content in contents.items():
        write_durably(f"{folder}/{name}", content)
    names = [f"{folder}/{name}" for name in contents]
    return SharedFiles(names[0], len(picture), names[1], names[2], names[3], names[4])


def grey_png(height: int, width: int) -> bytes:
    """A PNG of ``height`` by ``width`` pixels, 8-bit grey, with a bright bar on a dark ground."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)  # no filter
        middle, half = width // 2 + y * width // (8 * height), width // 6
        rows += bytes(40 + max(0, 180 - 180 * abs(x - middle) // half) for x in range(width))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
