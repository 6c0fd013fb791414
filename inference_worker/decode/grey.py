"""Array steps that every format shares: orientation, colour to grey, deep grey to eight bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

# `Limits` refuses by the header, for every format and with a sentence; Pillow's own guard is a
# warning at half that size and an exception of another kind above it.
Image.MAX_IMAGE_PIXELS = None

Level = TypeVar("Level", np.uint8, np.uint16)

#: A deep picture without a window is stretched between these percentiles, so that a few hot
#: pixels (a lead marker, a dead detector element) cannot push the bones into a handful of levels.
STRETCH_PERCENTILES = (0.1, 99.9)

#: Values that a look-up table may have.
LUT_ENTRIES = 1 << 16

#: Pixels that the percentiles are taken from, at most: a regular sample is as good and 10 times faster.
_SAMPLE = 1_000_000

#: Shares of a picture: hot pixels, a burnt-in marker of one value, the soft edges of its letters.
_MOST_HOT, _MOST_MARKED, _MOST_EDGES = 0.001, 0.05, 0.005
#: A marker lies this many bits above the picture, or this many times the picture's range away from it.
_MARKER_BITS, _FAR = 2, 1.5


def orient(pixels: NDArray[Level], orientation: int) -> NDArray[Level]:
    """Undo the EXIF ``orientation`` (1 to 8; anything else counts as 1) of ``(H, W)`` or ``(H, W, C)``."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def from_rgb(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """``uint8 (H, W, 3)`` to grey (ITU-R BT.601 luma) and chroma, see `Radiograph`."""
    rgb = np.ascontiguousarray(rgb)
    red, green, blue = cv2.split(rgb)
    spread = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    return _uint8(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)), float(cv2.mean(spread)[0])


def is_grey(colours: NDArray[Any]) -> bool:
    """Whether the channels of ``(H, W, C)`` hold one picture."""
    return all(np.array_equal(colours[..., 0], colours[..., i]) for i in range(1, colours.shape[-1]))


def over_black(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``uint8 (H, W, 4)`` with straight alpha laid over black: ``uint8 (H, W, 3)``."""
    alpha = cv2.merge([rgba[..., 3]] * 3)
    return _uint8(cv2.multiply(np.ascontiguousarray(rgba[..., :3]), alpha, scale=1 / 255))


def opacity(alphas: NDArray[Any]) -> NDArray[np.uint8]:
    """An alpha channel of any real type as 0 to 255: its highest value is opaque, and 0 and less transparent.

    Real numbers are opaque from 1. An alpha that would hide the whole picture hides nothing.
    """
    highest = float(np.max(alphas, initial=0, where=np.isfinite(alphas)))
    if highest <= 0:
        return np.full(alphas.shape, 255, np.uint8)
    if np.issubdtype(alphas.dtype, np.floating):
        highest = max(1.0, highest)
    elif highest <= 0xFFFF and np.issubdtype(alphas.dtype, np.unsignedinteger):
        highest = white_of(alphas.astype(np.uint16))
    return stretch(alphas, 0.0, highest)


def stretch(
    values: NDArray[Any], black: float | None = None, white: float | None = None
) -> NDArray[np.uint8]:
    """Map ``black``..``white`` of any real array to 0..255; what is not finite becomes black.

    Where a bound is not given, it is that of `bounds`.
    """
    levels = values.astype(np.float32)
    finite = np.isfinite(levels)
    if black is None or white is None:
        low, high = bounds(values)
        black = low if black is None else black
        white = high if white is None else white
    if not finite.all():
        levels[~finite] = black
    if white <= black:
        return np.zeros(values.shape, np.uint8)
    levels -= black
    levels *= 255.0 / (white - black)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def looked_up(values: NDArray[Any], show: Callable[[NDArray[Any]], NDArray[Level]]) -> NDArray[Level]:
    """``show`` of every pixel; asked once for each value where these are whole numbers of a usual range."""
    if not np.issubdtype(values.dtype, np.integer):
        return show(values)
    low, high = int(values.min()), int(values.max())
    if high - low >= LUT_ENTRIES:
        return show(values)
    lut = show(np.arange(low, high + 1))
    # Of their own width: what overflows as a signed number is right as an unsigned one.
    places = (values - values.dtype.type(low)).view(f"u{values.dtype.itemsize}")
    return np.asarray(lut[places], lut.dtype)


def bounds(values: NDArray[Any]) -> tuple[float, float]:
    """Black and white of a picture without a window: `STRETCH_PERCENTILES` of its finite values.

    A burnt-in marker is larger than the percentiles leave out: where the highest or lowest value covers a
    small part and lies far beyond the others, it does not count.
    """
    sample = values.ravel()[:: max(1, values.size // _SAMPLE)].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 0.0
    low, high = np.percentile(sample, STRETCH_PERCENTILES)
    for end in (sample.max(), sample.min()):
        others = sample[sample != end]
        if not others.size or sample.size - others.size > _MOST_MARKED * sample.size:
            continue
        inner_low, inner_high = np.percentile(others, STRETCH_PERCENTILES)
        gap = max(end - inner_high, inner_low - end)
        if inner_low < inner_high and gap > _FAR * (inner_high - inner_low):
            low, high = inner_low, inner_high
    return (float(low), float(high)) if low < high else (float(sample.min()), float(sample.max()))


def from_deep(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """16-bit grey or colour without a window to 8 bits, white at the smallest whole number of bits.

    Detectors deliver 10 to 14 bits in 16-bit files; taking the upper byte would leave them black. A few hot
    pixels, and a burnt-in marker far above the picture, do not count: they saturate.
    """
    return stretch(values, 0.0, white_of(values))


def white_of(values: NDArray[np.uint16]) -> float:
    """The value that `from_deep` shows white."""
    return float(2 ** _bits(values) - 1)


def _bits(values: NDArray[np.uint16]) -> int:
    """Bits that hold all values but those of hot pixels and burnt-in markers; at least 8."""
    counts = np.bincount(values.ravel(), minlength=1 << 16)
    top = int(values.max(initial=0))
    full = max(8, top.bit_length())
    share = 1.0 / max(1, values.size)
    for bits in range(8, full):
        beyond = int(counts[1 << bits :].sum()) * share
        is_hot = beyond <= _MOST_HOT
        is_marker = (
            full - bits >= _MARKER_BITS
            and beyond <= _MOST_MARKED
            and beyond - int(counts[top]) * share <= _MOST_EDGES
        )
        if is_hot or is_marker:
            return bits
    return full


def from_picture(picture: Image.Image) -> tuple[NDArray[np.uint8], float]:
    """A loaded Pillow picture of 8 bits or fewer to grey ``(H, W)`` and chroma, transparent parts black."""
    if picture.has_transparency_data or picture.mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        straight = {"La": "LA", "RGBa": "RGBA"}.get(picture.mode)
        rgba = np.array((picture.convert(straight) if straight else picture).convert("RGBA"))
        rgba[..., 3] = opacity(rgba[..., 3])
        return from_rgb(over_black(rgba))
    if picture.mode in ("L", "1"):
        return np.asarray(picture.convert("L")), 0.0
    return from_rgb(np.asarray(picture.convert("RGB")))


def _uint8(pixels: Any) -> NDArray[np.uint8]:
    return np.asarray(pixels, dtype=np.uint8)
