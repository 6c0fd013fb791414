"""Grad-CAM in closed form, in the pixels of the displayed picture.

Selvaraju et al. (2017, arXiv:1610.02391) weigh the last features ``A`` (h × w × K) by the mean
gradient of the class's logit, ``α_k = 1/(hw) Σ_xy ∂logit/∂A_xyk``, and show ``ReLU(Σ_k α_k A_k)``.

Here the head is linear and position-wise, ``M = Σ_k w_k A_k``, and the logit is ``pool(M) + b``. Then
``α_k = w_k/(hw) Σ_xy ∂pool/∂M_xy``, and the sum is 1 for every pooling that commutes with adding a
constant (mean, log-sum-exp at any temperature, top-k mean, max). So Grad-CAM is

    ReLU(M) / (h w)

exactly, and needs no gradient: the network outputs the signed ``M`` beside the logit.

Cells and pixels meet at half-pixel centres: cell ``j`` of ``w`` covers the input's columns from
``j·size/w`` to ``(j+1)·size/w``. The letterbox seldom ends where a cell does, so the crop resamples.
"""  # noqa: RUF002  the formula is written with its own signs

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from inference_worker.types import Geometry


def grad_cam(signed: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute Grad-CAM, not normalised, ``float32 (h, w)``, from a network's whole signed map ``(h, w)``."""
    height, width = signed.shape
    return np.asarray(np.maximum(signed, 0) / (height * width), np.float32)


def crop(signed: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float32]:
    """Crop a signed map ``(h, w)`` of the square input to the area that the picture covers.

    Returns ``float32 (h', w')`` whose outer edges are the picture's edges. A side that fills the
    input keeps its cells as they are; the other is sampled linearly at as many cells as it touches.
    """
    height, width = signed.shape
    rows = _centres(geometry.top, geometry.inner_height, geometry.size, height)
    columns = _centres(geometry.left, geometry.inner_width, geometry.size, width)
    return _sample(_sample(signed, rows, axis=0), columns, axis=1)


def peak(signed: NDArray[np.float32], width: int, height: int) -> tuple[int, int]:
    """``(x, y)`` of the cropped map's strongest cell, in pixels of the ``width`` by ``height`` picture."""
    row, column = np.unravel_index(int(np.argmax(signed)), signed.shape)
    rows, columns = signed.shape
    return int((column + 0.5) * width / columns), int((row + 0.5) * height / rows)


def evidence(signed: NDArray[np.float32], scale: float, width: int, height: int) -> NDArray[np.float32]:
    """The positive evidence of a cropped map, resampled to ``(height, width)``, 0 to 1.

    ``scale`` is the manifest's: the value in logit units that counts as full. It is the same for
    every picture, so that colours can be compared between pictures.
    """
    positive = np.clip(signed / np.float32(scale), 0, 1)
    return np.asarray(cv2.resize(positive, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _centres(start: int, length: int, size: int, cells: int) -> NDArray[np.float64]:
    """Centres of the crop's cells, in (fractional) indices of the whole map."""
    first, last = start * cells / size, (start + length) * cells / size
    count = max(1, math.ceil(last - first - 1e-9))
    return first + (np.arange(count) + 0.5) * (last - first) / count - 0.5


def _sample(values: NDArray[np.float32], at: NDArray[np.float64], axis: int) -> NDArray[np.float32]:
    at = np.clip(at, 0, values.shape[axis] - 1)
    below = np.floor(at).astype(np.intp)
    above = np.minimum(below + 1, values.shape[axis] - 1)
    share = (at - below).astype(np.float32)
    share = share[:, np.newaxis] if axis == 0 else share[np.newaxis, :]
    mixed = values.take(below, axis) * (1 - share) + values.take(above, axis) * share
    return np.asarray(mixed, np.float32)
