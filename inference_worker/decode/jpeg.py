"""JPEG to a radiograph: a decoder that refuses what was cut short.

Pillow and OpenCV ignore libjpeg's warnings and return a picture with a grey bottom for a
file whose scan ends early. ``simplejpeg`` (libjpeg-turbo) reports them, and gives the same pixels.
"""

from __future__ import annotations

import re

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from inference_worker import exif
from inference_worker.decode import grey
from inference_worker.decode.limits import Limits
from inference_worker.decode.upright import Shown, finish
from inference_worker.jpeg_header import (
    END,
    HUFFMAN,
    SCAN,
    check_scans,
    exif_blocks,
    frame_header,
    jfif_tall,
    segments,
    truncated,
)
from inference_worker.types import Radiograph, UnreadableError

_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
#: Bytes of filler before the end of the image that are believed to be filler: more of them mean
#: that the decoder lost its place in the scan.
_MOST_PADDING = 4

#: Segments that say nothing of how the pixels are coded, unlike those of JFIF and Adobe: libjpeg warns of bad
#: colour profiles among them as it does of damage.
_COMMENTS = frozenset({*range(0xE1, 0xF0), 0xFE}) - {0xEE}


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
    if frame.process not in HUFFMAN:
        raise UnreadableError(
            "unsupported_encoding",
            "The JPEG uses a rare coding process (lossless, hierarchical or arithmetic); "
            "export it as PNG or ordinary JPEG.",
        )
    check_scans(data)
    if frame.components == 1:
        pixels, chroma = strict(data, "GRAY")[..., 0], 0.0
    elif frame.components == 4:
        # Stored inverted, as Adobe does: then ink over ink is what alpha over black is.
        pixels, chroma = grey.from_rgb(grey.over_black(strict(data, "CMYK")))
    else:
        pixels, chroma = grey.from_rgb(strict(data, "RGB"))
    stated = exif.read(exif_blocks(data))
    tall = jfif_tall(data) or stated.tall
    return finish(Shown(pixels, chroma), limits, tall=tall, orientation=stated.orientation)


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
            if marker == END and count <= _MOST_PADDING:
                return np.asarray(simplejpeg.decode_jpeg(data, colorspace=colorspace, strict=False), np.uint8)
        plain = compact(data)
        if len(plain) < len(data):
            return strict(plain, colorspace)
        if "remature end" in reason:
            raise truncated() from error
        raise UnreadableError(
            "corrupt", "The JPEG is damaged and cannot be decoded; send it again from its source."
        ) from error


def compact(data: bytes) -> bytes:
    """The same JPEG without comments, profiles and the filler that some scanners write between segments."""
    headers = list(segments(data))
    if not headers or headers[-1][0] != SCAN:
        return data
    kept = b"".join(data[start:end] for marker, start, end in headers if marker not in _COMMENTS)
    return data[:2] + kept + data[headers[-1][2] :]
