"""JPEG, segment by segment (ITU-T T.81, B.1): checks it, leaves out metadata, thumbnails and appendages."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _

from inference_worker.jpeg_header import HUFFMAN, jfif_tall
from xrayportal.intake.deidentify import exif
from xrayportal.intake.rejection import RejectedError, check_dimensions, corrupt, truncated

_SOI, _EOI, _SOS, _APP0, _APP1, _APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xEE
#: Coding tables and headers that the decoder needs: SOFn, DHT, DAC, DQT, DNL, DRI, DHP, EXP.
_KEPT = frozenset({*range(0xC0, 0xD0), *range(0xDB, 0xE0)}) - {0xC8}
#: An ordinary JPEG has some dozen; each costs time, however short it is.
_MOST_SEGMENTS = 10_000
#: Markers without a body, which mean nothing between segments.
_BARE = frozenset({0x01, _SOI, *range(0xD0, 0xD8)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: In a scan, FF is followed by 00 (a stuffed byte), a restart marker or another FF; anything else ends it.
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_EXIF = b"Exif\x00\x00"


def strip(data: bytes) -> bytes:
    """Return the same picture without metadata; coding tables and scans are copied byte for byte.

    Of EXIF the orientation stays and, where APP0 has none, the ratio of a pixel's sides; of APP0 the pixel
    density; and Adobe's APP14, which tells how colours were coded. Raises ``RejectedError`` for a truncated
    or damaged file or one with too many pixels.
    """
    out = [b"\xff\xd8"]
    blocks: list[bytes] = []
    at, has_frame, has_scan = 2, False, False
    for _segment_number in range(_MOST_SEGMENTS):
        marker, at = _next_marker(data, at)
        if marker == _EOI:
            break
        if marker in _BARE:
            if has_scan:
                raise corrupt()
            continue
        body_start, end = at + 2, at + int.from_bytes(data[at : at + 2], "big")
        if max(body_start, end) > len(data):
            raise truncated()
        if end < body_start:
            raise corrupt()
        body = data[body_start:end]
        if marker in _FRAMES:
            if len(body) < 6:
                raise corrupt()
            height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            check_dimensions(width, height)
            if body[0] != 8 or marker & 0x0F not in HUFFMAN:
                raise RejectedError(
                    "unsupported-encoding",
                    _("it uses a rare kind of JPEG, which cannot be decoded here"),
                    _("Save it as PNG or ordinary JPEG."),
                )
            has_frame = True
        if marker in _KEPT:
            out.append(_segment(marker, body))
        elif marker == _APP0 and body.startswith(b"JFIF\x00") and len(body) >= 14:
            out.append(_segment(_APP0, body[:12] + b"\x00\x00"))  # no thumbnail
        elif marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            out.append(_segment(_APP14, body[:12]))
        elif marker == _APP1 and body.startswith(_EXIF) and not has_scan:
            blocks.append(body[len(_EXIF) :])
        elif marker == _SOS:
            scan_end = _SCAN_END.search(data, end)
            if scan_end is None:
                raise truncated()
            if not has_scan and (block := exif.kept(blocks, asks_resolution=jfif_tall(data) is None)):
                out.append(_segment(_APP1, _EXIF + block))
            out += [_segment(_SOS, body), data[end : scan_end.start()]]
            end, has_scan = scan_end.start(), True
        at = end
    else:
        raise corrupt()
    if not (has_frame and has_scan):
        raise truncated()
    return b"".join([*out, b"\xff\xd9"])


def _next_marker(data: bytes, at: int) -> tuple[int, int]:
    """Find the next marker from ``at`` and the start of its segment, past filler that scanners write."""
    match = _MARKER.search(data, at)
    if match is None:
        raise truncated()
    return data[match.end() - 1], match.end()


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body
