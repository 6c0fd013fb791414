"""PNG and TIFF to a radiograph, through Pillow."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from inference_worker.decode import grey, libtiff, png
from inference_worker.decode.limits import Limits
from inference_worker.types import Radiograph, UnreadableError

# `Limits` refuses by the header, for every format and with a sentence; Pillow's own guard is a
# warning at half that size and an exception of another kind above it.
Image.MAX_IMAGE_PIXELS = None

_EXIF_ORIENTATION = 0x0112
_NEW_SUBFILE_TYPE = 254
_REDUCED_RESOLUTION = 1
_COMPRESSION, _JPEG = 259, 7
_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES = 273, 279, 324, 325
_JPEG_END = b"\xff\xd9"

#: Pillow's modes of more than eight bits, all of one channel.
_DEEP_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})


def decode_png(data: bytes, limits: Limits) -> Radiograph:
    """A PNG to a radiograph. Raises `UnreadableError`."""
    header = png.parse_header(data)
    limits.check_size(header.width, header.height)
    png.check_chunks(data)
    return _decode(data, "PNG", limits)


def decode_tiff(data: bytes, limits: Limits) -> Radiograph:
    """A TIFF of one page (smaller copies of it aside) to a radiograph. Raises `UnreadableError`."""
    return _decode(data, "TIFF", limits)


def _decode(data: bytes, name: str, limits: Limits) -> Radiograph:
    try:
        with Image.open(BytesIO(data), formats=[name]) as picture:
            limits.check_size(*picture.size)
            _check_single(picture)
            _check_jpeg_pieces(picture, data)
            with libtiff.capture_warnings() as damage:
                picture.load()
            if damage:
                raise _corrupt(name)
            return _radiograph(picture)
    except UnreadableError:
        raise
    except MemoryError:
        raise
    # Pillow's parsers of hostile input raise whatever Python raised inside them.
    except Exception as error:
        if "truncated" in str(error) or "unexpected end" in str(error).lower():
            raise _truncated(name) from error
        raise _corrupt(name) from error


def _truncated(name: str) -> UnreadableError:
    return UnreadableError(
        "truncated", f"The {name} ends before its last line; send it again from its source."
    )


def _corrupt(name: str) -> UnreadableError:
    return UnreadableError(
        "corrupt",
        f"The {name} is damaged or of a rare kind and cannot be decoded; export it as ordinary {name}.",
    )


def _check_single(picture: Image.Image) -> None:
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        page = 1
        while True:
            try:
                picture.seek(page)
            except EOFError:
                break
            if not int(picture.tag_v2.get(_NEW_SUBFILE_TYPE, 0)) & _REDUCED_RESOLUTION:
                raise _several("The TIFF holds several pages")
            page += 1
        picture.seek(0)
    elif getattr(picture, "n_frames", 1) > 1:
        raise _several("The PNG is animated")


def _check_jpeg_pieces(picture: Image.Image, data: bytes) -> None:
    """JPEG in a TIFF: libtiff completes a strip or tile that was cut short with grey, and is silent."""
    if not isinstance(picture, TiffImagePlugin.TiffImageFile) or picture.tag_v2.get(_COMPRESSION) != _JPEG:
        return
    for starts, sizes in ((_STRIPS, _STRIP_SIZES), (_TILES, _TILE_SIZES)):
        for start, size in zip(picture.tag_v2.get(starts, ()), picture.tag_v2.get(sizes, ()), strict=False):
            if not data[start : start + size].rstrip(b"\x00\xff").endswith(_JPEG_END):
                raise _truncated("TIFF")


def _several(what: str) -> UnreadableError:
    return UnreadableError("multi_frame", f"{what}; send each picture as a file of its own.")


def _radiograph(picture: Image.Image) -> Radiograph:
    # After load(): Pillow applies a TIFF's orientation itself and then drops the tag.
    orientation = int(picture.getexif().get(_EXIF_ORIENTATION, 1))
    pixels, chroma = (_deep(picture), 0.0) if picture.mode in _DEEP_MODES else _shallow(picture)
    return Radiograph(pixels=grey.orient(pixels, orientation), chroma=chroma)


def _deep(picture: Image.Image) -> Any:
    values = np.asarray(picture)
    if picture.mode == "F":
        return grey.stretch(values)
    # Pillow's 32-bit "I" carries 16-bit greys (older PNG and signed TIFF) and true 32-bit ones.
    if values.min(initial=0) < 0 or values.max(initial=0) > 0xFFFF:
        return grey.stretch(values)
    levels = values.astype(np.uint16)
    hole = picture.info.get("transparency")
    if isinstance(hole, int):
        levels[levels == hole] = 0
    white_is_zero = (
        isinstance(picture, TiffImagePlugin.TiffImageFile)
        and picture.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
    )
    pixels = grey.from_deep(levels)
    return 255 - pixels if white_is_zero else pixels


def _shallow(picture: Image.Image) -> tuple[Any, float]:
    if picture.has_transparency_data or picture.mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        straight = {"La": "LA", "RGBa": "RGBA"}.get(picture.mode)
        rgba = (picture.convert(straight) if straight else picture).convert("RGBA")
        return grey.from_rgb(grey.over_black(np.asarray(rgba)))
    if picture.mode in ("L", "1"):
        return np.asarray(picture.convert("L")), 0.0
    return grey.from_rgb(np.asarray(picture.convert("RGB")))
