"""From a displayed picture to the network's input: the one function training and serving share."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inference_worker.manifest import CONTRAST_PERCENTILES
from inference_worker.types import Geometry


def fit(width: int, height: int, size: int) -> Geometry:
    """Where a ``width`` by ``height`` picture lies in a ``size`` square, centred, aspect kept."""
    scale = size / max(width, height)
    inner_width = min(size, max(1, round(width * scale)))
    inner_height = min(size, max(1, round(height * scale)))
    return Geometry(
        size=size,
        width=width,
        height=height,
        left=(size - inner_width) // 2,
        top=(size - inner_height) // 2,
        inner_width=inner_width,
        inner_height=inner_height,
    )


def letterbox(pixels: NDArray[np.uint8], size: int) -> tuple[NDArray[np.uint8], Geometry]:
    """Scale to fit, stretch the contrast, centre on black.

    ``pixels`` is ``uint8 (H, W)``; returns ``uint8 (size, size)`` and where the picture lies in
    it. Training augments this square; serving hands it to ``as_batch`` as it is.
    """
    height, width = pixels.shape
    geometry = fit(width, height, size)
    shrinking = max(width, height) > size
    inner = cv2.resize(
        pixels,
        (geometry.inner_width, geometry.inner_height),
        interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR,
    )
    square = np.zeros((size, size), np.uint8)
    square[
        geometry.top : geometry.top + geometry.inner_height,
        geometry.left : geometry.left + geometry.inner_width,
    ] = _stretch(np.asarray(inner, np.uint8))
    return square, geometry


def as_batch(squares: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``uint8 (N, size, size)`` to the network's ``float32 (N, size, size, 1)``, 0 to 255.

    The network itself maps grey levels to its backbone's range, so that no caller can forget it.
    """
    return squares[..., np.newaxis].astype(np.float32)


def _stretch(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    counts = np.bincount(pixels.ravel(), minlength=256)
    share = np.cumsum(counts) * (100.0 / pixels.size)
    low = int(np.searchsorted(share, CONTRAST_PERCENTILES[0]))
    high = int(np.searchsorted(share, CONTRAST_PERCENTILES[1]))
    if high <= low:
        return pixels
    levels = (np.arange(256, dtype=np.float32) - low) * (255.0 / (high - low))
    return cv2.LUT(pixels, np.clip(np.rint(levels), 0, 255).astype(np.uint8)).astype(np.uint8)
