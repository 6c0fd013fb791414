"""Pictures whose pixels are not square, resampled: reading and display see the body's proportions."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from inference_worker.decode.limits import Limits

#: ``uint8`` display levels or ``uint16`` codes.
Level = TypeVar("Level", np.uint8, np.uint16)

#: Below this difference between height and width nobody sees anything, and every value would change.
_LEAST = 0.01
#: Beyond this the header is wrong: no detector, scanner or fax has such pixels.
_MOST = 8.0


def is_square(tall: float | None) -> bool:
    """Whether pixels ``tall`` times as high as wide count as square: unknown and absurd values do."""
    return tall is None or not 1 / _MOST <= tall <= _MOST or abs(tall - 1) < _LEAST


def squared(pixels: NDArray[Level], tall: float | None, limits: Limits) -> NDArray[Level]:
    """``(H, W)`` of pixels ``tall`` times as high as wide, with square pixels of the finer side.

    Where that would exceed the limits, with square pixels of the coarser side.
    """
    if tall is None or is_square(tall):
        return pixels
    height, width = pixels.shape
    finer = (width, round(height * tall)) if tall > 1 else (round(width / tall), height)
    coarser = (max(1, round(width / tall)), height) if tall > 1 else (width, max(1, round(height * tall)))
    fits = max(finer) <= limits.side and finer[0] * finer[1] <= limits.pixels
    size, method = (finer, cv2.INTER_LINEAR) if fits else (coarser, cv2.INTER_AREA)
    return np.asarray(cv2.resize(np.ascontiguousarray(pixels), size, interpolation=method), pixels.dtype)
