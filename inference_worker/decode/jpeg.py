"""JPEG: the header without decoding, and a decoder that refuses what was cut short.

Pillow and OpenCV ignore libjpeg's warnings and return a picture with a grey bottom for a
file whose scan ends early. ``simplejpeg`` (libjpeg-turbo) reports them, and gives the same pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from inference_worker import exif, notes
from inference_worker.decode import aspect, grey
from inference_worker.decode.limits import Limits
from inference_worker.types import Radiograph, UnreadableError

#: An ordinary progressive JPEG has about ten scans. Each costs a pass over the whole picture.
_MOST_SCANS = 100

_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
#: Bytes of filler before the end of the image that are believed to be filler: more of them mean
#: that the decoder lost its place in the scan.
_MOST_PADDING = 4

_SCAN, _END, _APP0, _APP1 = 0xDA, 0xD9, 0xE0, 0xE1
#: Segments that say nothing of how the pixels are coded, unlike those of JFIF and Adobe: libjpeg warns of bad
#: colour profiles among them as it does of damage.
_COMMENTS = frozenset({*range(0xE1, 0xF0), 0xFE}) - {0xEE}
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}


@dataclass(frozen=True, slots=True)
class Frame:
    """A JPEG's frame header: the SOF marker's low nibble (0 baseline, 2 progressive, 3 lossless)."""

    process: int
    precision: int
    width: int
    height: int
    components: int


def frame_header(data: bytes) -> Frame:
    """Parse the first frame header of a JPEG (ITU-T T.81, B.2.2) or JPEG-LS (marker F7) stream.

    Raises `UnreadableError` (``truncated``).
    """
    for marker, start, end in _segments(data):
        if marker in _FRAMES:
            body = data[start + 4 : end]
            if len(body) < 6:
                break
            return Frame(
                process=marker & 0x0F,
                precision=body[0],
                height=int.from_bytes(body[1:3], "big"),
                width=int.from_bytes(body[3:5], "big"),
                components=body[5],
            )
    raise _truncated()


def scan_start(data: bytes) -> int:
    """Where the first scan's header begins; -1 if the stream ends before it."""
    return next((start for marker, start, _end in _segments(data) if marker == _SCAN), -1)


def decode(data: bytes, limits: Limits) -> Radiograph:
    """A JPEG file to a radiograph. Raises `UnreadableError`."""
    frame = frame_header(data)
    limits.check_size(frame.width, frame.height)
    if frame.precision != 8:
        raise UnreadableError(
            "unsupported_encoding",
            f"The JPEG holds {frame.precision}-bit samples, which cannot be decoded here; "
            "export it as PNG, 8-bit JPEG or DICOM.",
        )
    if frame.process not in (0, 1, 2):
        raise UnreadableError(
            "unsupported_encoding",
            "The JPEG uses a rare coding process (lossless, hierarchical or arithmetic); "
            "export it as PNG or ordinary JPEG.",
        )
    if data.count(b"\xff\xda") > _MOST_SCANS:
        raise UnreadableError(
            "corrupt", f"The JPEG claims more than {_MOST_SCANS} scans; export it again as ordinary JPEG."
        )
    if frame.components == 1:
        pixels, chroma = strict(data, "GRAY")[..., 0], 0.0
    elif frame.components == 4:
        # Stored inverted, as Adobe does: then ink over ink is what alpha over black is.
        pixels, chroma = grey.from_rgb(grey.over_black(strict(data, "CMYK")))
    else:
        pixels, chroma = grey.from_rgb(strict(data, "RGB"))
    tall = _tall(data)
    upright = grey.orient(aspect.squared(pixels, tall, limits), _orientation(data))
    return Radiograph(
        pixels=upright, chroma=chroma, notes=() if aspect.is_square(tall) else (notes.RESAMPLED,)
    )


def strict(data: bytes, colorspace: str) -> NDArray[np.uint8]:
    """Decode to ``uint8 (H, W, C)``.

    Raises `UnreadableError` (``truncated``, ``corrupt``): a missing end is not filled with grey.
    """
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, colorspace=colorspace), np.uint8)
    except ValueError as error:
        reason = str(error)
        filler = _EXTRANEOUS.search(reason)
        if filler is not None:
            marker, count = int(filler[2], 16), int(filler[1])
            if marker == _END and count <= _MOST_PADDING:
                return np.asarray(simplejpeg.decode_jpeg(data, colorspace=colorspace, strict=False), np.uint8)
        compact = _compact(data)
        if len(compact) < len(data):
            return strict(compact, colorspace)
        if "remature end" in reason:
            raise _truncated() from error
        raise UnreadableError(
            "corrupt", "The JPEG is damaged and cannot be decoded; send it again from its source."
        ) from error


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment before the first scan's data; filler between them is skipped."""
    at = data.find(b"\xff", 2)
    while 0 <= at <= len(data) - 4:
        marker = data[at + 1]
        if marker == _END:
            return
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:  # filler, or a marker without a body
            at = data.find(b"\xff", at + 1)
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at, end
        if marker == _SCAN:
            return
        at = data.find(b"\xff", end)


def _compact(data: bytes) -> bytes:
    """The same JPEG without comments, profiles and the filler that some scanners write between segments."""
    segments = list(_segments(data))
    if not segments or segments[-1][0] != _SCAN:
        return data
    kept = b"".join(data[start:end] for marker, start, end in segments if marker not in _COMMENTS)
    return data[:2] + kept + data[segments[-1][2] :]


def _orientation(data: bytes) -> int:
    return exif.orientation(
        data[start + 10 : end]
        for marker, start, end in _segments(data)
        if marker == _APP1 and data[start + 4 : start + 10] == b"Exif\x00\x00"
    )


def _tall(data: bytes) -> float | None:
    """Height of a pixel by its width, from JFIF's densities across and down."""
    for marker, start, end in _segments(data):
        if marker == _APP0 and data[start + 4 : start + 9] == b"JFIF\x00" and end - start >= 16:
            across = int.from_bytes(data[start + 12 : start + 14], "big")
            down = int.from_bytes(data[start + 14 : start + 16], "big")
            return across / down if across and down else None
    return None


def _truncated() -> UnreadableError:
    return UnreadableError("truncated", "The JPEG ends before its last line; send it again from its source.")
