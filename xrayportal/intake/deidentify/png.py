"""PNG, chunk by chunk: checks it and leaves out texts, times, profiles and anything after the end."""

from __future__ import annotations

import zlib

from xrayportal.intake.deidentify import exif
from xrayportal.intake.rejection import check_dimensions, corrupt, general, truncated

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Chunks of 8 kB are common; each costs time, however short it is.
_MOST_CHUNKS = 100_000
#: Pixels and what is needed to show them; everything else may name people or is another picture.
_KEPT = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"pHYs"})


def strip(data: bytes) -> bytes:
    """Return the same picture without metadata; pixel chunks are copied byte for byte.

    Raises ``RejectedError`` for a truncated, damaged or animated file or one with too many pixels.
    """
    view = memoryview(data)
    out = [_SIGNATURE]
    blocks: list[bytes] = []
    at, has_pixels, has_density = len(_SIGNATURE), False, False
    for _ in range(_MOST_CHUNKS):
        if at + 12 > len(data):
            raise truncated()
        end = at + 12 + int.from_bytes(view[at : at + 4], "big")
        if end > len(data):
            raise truncated()
        kind, body = bytes(view[at + 4 : at + 8]), view[at + 8 : end - 4]
        is_whole = zlib.crc32(view[at + 4 : end - 4]) == int.from_bytes(view[end - 4 : end], "big")
        if not is_whole:
            if not kind[0] & 0x20:  # critical
                raise corrupt()
            at = end
            continue
        if (kind == b"IHDR") != (at == len(_SIGNATURE)):
            raise corrupt()
        if kind == b"IHDR":
            if len(body) != 13:
                raise corrupt()
            check_dimensions(int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big"))
        if kind == b"acTL" and not has_pixels and int.from_bytes(body[:4], "big") > 1:
            raise general("multi-frame")
        has_pixels = has_pixels or kind == b"IDAT"
        if kind == b"pHYs" and len(body) == 9:
            has_density = any(body[:4]) and any(body[4:8])
        if kind in _KEPT:
            out.append(bytes(view[at:end]))
        elif kind == b"eXIf":  # it may also follow the pixels
            blocks.append(bytes(body))
        if kind == b"IEND":
            break
        at = end
    else:
        raise corrupt()
    if not has_pixels:
        raise truncated()
    block = exif.kept(blocks, asks_resolution=not has_density)
    if block:
        out.insert(2, _chunk(b"eXIf", block))  # right after the signature and IHDR
    return b"".join(out)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
