"""JPEG: the header without decoding, and a decoder that refuses what was cut short.

Pillow and OpenCV take libjpeg's warnings for silence and return a picture with a grey bottom for a
file whose scan ends early. ``simplejpeg`` (libjpeg-turbo) reports them, and gives the same pixels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from inference_worker.decode import grey
from inference_worker.decode.limits import Limits
from inference_worker.types import Radiograph, UnreadableError

#: An ordinary progressive JPEG has about ten scans. Each costs a pass over the whole picture.
_MOST_SCANS = 100

_EXIF_ORIENTATION = 0x0112

_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_MOST_PADDING = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """A JPEG's frame header: the SOF marker's low nibble (0 baseline, 2 progressive, 3 lossless)."""

    process: int
    precision: int
    width: int
    height: int
    components: int


def read_frame(data: bytes) -> Frame:
    """The first frame header of a JPEG (ITU-T T.81, B.2.2) or JPEG-LS (marker F7) stream.

    Raises `UnreadableError` (``truncated``, ``corrupt``).
    """
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise UnreadableError("corrupt", "The JPEG's header is damaged; send it again from its source.")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            if at + 10 > len(data):
                break
            return Frame(
                process=marker & 0x0F,
                precision=data[at + 4],
                height=int.from_bytes(data[at + 5 : at + 7], "big"),
                width=int.from_bytes(data[at + 7 : at + 9], "big"),
                components=data[at + 9],
            )
        if marker == 0xD9:
            break
        standalone = marker == 0x01 or 0xD0 <= marker <= 0xD8
        at += 2 if standalone else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise _truncated()


def decode(data: bytes, limits: Limits) -> Radiograph:
    """A JPEG file to a radiograph. Raises `UnreadableError`."""
    frame = read_frame(data)
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
    orientation = _orientation(data)
    if frame.components == 1:
        pixels, chroma = strict(data, "GRAY")[..., 0], 0.0
    elif frame.components == 4:
        strict(data, "CMYK")
        # Pillow knows Adobe's inverted CMYK; the strict pass above has seen that nothing is missing.
        with Image.open(BytesIO(data), formats=["JPEG"]) as picture:
            pixels, chroma = grey.from_rgb(np.asarray(picture.convert("RGB")))
    else:
        pixels, chroma = grey.from_rgb(strict(data, "RGB"))
    return Radiograph(pixels=grey.orient(pixels, orientation), chroma=chroma)


def strict(data: bytes, colorspace: str) -> NDArray[np.uint8]:
    """Decode to ``uint8 (H, W, C)``; a missing end raises instead of turning grey."""
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, colorspace=colorspace), np.uint8)
    except ValueError as error:
        reason = str(error)
        if _is_padding(reason):
            return np.asarray(simplejpeg.decode_jpeg(data, colorspace=colorspace, strict=False), np.uint8)
        if "remature end" in reason:
            raise _truncated() from error
        raise UnreadableError(
            "corrupt", "The JPEG is damaged and cannot be decoded; send it again from its source."
        ) from error


def _is_padding(reason: str) -> bool:
    """Whether libjpeg only complains of filler between segments, which some scanners write.

    Inside a scan the same message means that the decoder lost its place, so there (before a restart
    marker or the end of the image) no more than a word of filler is believed.
    """
    found = _EXTRANEOUS.search(reason)
    if found is None:
        return False
    count, marker = int(found[1]), int(found[2], 16)
    return not 0xD0 <= marker <= 0xD9 or (marker == 0xD9 and count <= _MOST_PADDING)


def _orientation(data: bytes) -> int:
    with Image.open(BytesIO(data), formats=["JPEG"]) as picture:
        return int(picture.getexif().get(_EXIF_ORIENTATION, 1))


def _truncated() -> UnreadableError:
    return UnreadableError("truncated", "The JPEG ends before its last line; send it again from its source.")
