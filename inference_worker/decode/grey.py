"""Array steps that every format shares: orientation, colour to grey, deep grey to eight bits."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: A deep picture without a window is stretched between these percentiles, so that a few hot
#: pixels (a lead marker, a dead detector element) cannot push the bones into a handful of levels.
STRETCH_PERCENTILES = (0.1, 99.9)

#: Pixels that the percentiles are taken from, at most: a regular sample is as good and 10 times faster.
_SAMPLE = 1_000_000


def orient(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
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


def over_black(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``uint8 (H, W, 4)`` with straight alpha laid over black: ``uint8 (H, W, 3)``."""
    alpha = cv2.merge([rgba[..., 3]] * 3)
    return _uint8(cv2.multiply(np.ascontiguousarray(rgba[..., :3]), alpha, scale=1 / 255))


def stretch(
    values: NDArray[Any], black: float | None = None, white: float | None = None
) -> NDArray[np.uint8]:
    """Map ``black``..``white`` of any real array to 0..255; what is not finite becomes black.

    Where a bound is not given, it is the percentile of `STRETCH_PERCENTILES`.
    """
    levels = values.astype(np.float32)
    finite = np.isfinite(levels)
    if not finite.all():
        known = levels[finite]
        levels[~finite] = known.min() if known.size else 0.0
    if black is None or white is None:
        sample = levels.ravel()[:: max(1, levels.size // _SAMPLE)]
        low, high = np.percentile(sample, STRETCH_PERCENTILES)
        if low == high:
            low, high = sample.min(), sample.max()
        black = float(low) if black is None else black
        white = float(high) if white is None else white
    if white <= black:
        return np.zeros(values.shape, np.uint8)
    levels -= black
    levels *= 255.0 / (white - black)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def from_deep(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """16-bit grey without a window to 8 bits, white at the smallest whole number of bits that holds it.

    Detectors deliver 10 to 14 bits in 16-bit files; taking the upper byte would leave them black.
    """
    bits = max(8, int(values.max(initial=0)).bit_length())
    return stretch(values, 0.0, float(2**bits - 1))


def _uint8(pixels: Any) -> NDArray[np.uint8]:
    return np.asarray(pixels, dtype=np.uint8)
