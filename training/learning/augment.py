"""One random placement of a picture, applied to its pixels and its boxes alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.datasets.record import Box

#: Boxes are drawn this many times finer than the grid before they are averaged into its cells.
FINENESS = 16


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges: ``rotation`` degrees, ``zoom`` and ``shift`` shares of the side, ``contrast`` of gamma.

    ``collimation`` is the chance of bright or dark bands along opposite sides, as collimators
    and unexposed film leave them; the FracAtlas pictures have few, other sources many.
    """

    rotation: float = 15.0
    zoom: float = 0.15
    shift: float = 0.06
    contrast: float = 0.25
    flips: bool = True
    collimation: float = 0.0


def draw(augmentation: Augmentation, size: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """A random ``(2, 3)`` affine matrix from source to target pixels of a ``size`` square."""
    angle = np.deg2rad(generator.uniform(-augmentation.rotation, augmentation.rotation))
    zoom = np.exp(generator.uniform(-augmentation.zoom, augmentation.zoom))
    across, down = 1.0, 1.0
    if augmentation.flips:
        across, down = (-1.0 if generator.random() < 0.5 else 1.0 for _ in range(2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * zoom
    turn = turn @ np.diag([across, down])
    centre = np.full(2, (size - 1) / 2)
    offset = centre - turn @ centre + generator.uniform(-augmentation.shift, augmentation.shift, 2) * size
    return np.concatenate([turn, offset[:, None]], axis=1)


def warp(square: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """``square`` moved by ``matrix``; what comes from outside is black, as in letterboxing."""
    size = square.shape[0]
    return cv2.warpAffine(square, matrix, (size, size), flags=cv2.INTER_LINEAR).astype(np.uint8)


def collimate(
    square: NDArray[np.uint8],
    boxes: Sequence[Box],
    augmentation: Augmentation,
    generator: np.random.Generator,
) -> NDArray[np.uint8]:
    """``square`` with bands along two opposite sides, by chance; no band covers a box."""
    if generator.random() >= augmentation.collimation:
        return square
    size = square.shape[0]
    widths = generator.uniform(0.04, 0.26, 2) * size
    level = int(generator.integers(200, 256)) if generator.random() < 0.75 else int(generator.integers(0, 40))
    upright = generator.random() < 0.5
    first, last = (0, 2) if upright else (1, 3)
    near = int(min([widths[0], *(box[first] for box in boxes)]))
    far = int(max([size - widths[1], *(box[last] for box in boxes)]))
    banded = square.copy() if upright else square.T.copy()
    banded[:, : max(0, near)] = level
    banded[:, far + 1 :] = level
    return banded if upright else np.ascontiguousarray(banded.T)


def relight(
    square: NDArray[np.uint8], augmentation: Augmentation, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """A random gamma: exposure differs between machines, black and white stay."""
    gamma = float(np.exp(generator.uniform(-augmentation.contrast, augmentation.contrast)))
    levels = 255.0 * (np.arange(256) / 255.0) ** gamma
    return cv2.LUT(square, np.rint(levels).astype(np.uint8)).astype(np.uint8)


def grid_target(
    boxes: Sequence[Box], matrix: NDArray[np.float64] | None, size: int, cells: int
) -> NDArray[np.float32]:
    """What the evidence map should say: ``(cells, cells)``, 0 to 1.

    A cell's value is the share of it that a box covers, relative to the best covered cell of
    that box: a box smaller than a cell still teaches one cell fully.
    """
    target = np.zeros((cells, cells), np.float32)
    scale = cells * FINENESS / size
    for xmin, ymin, xmax, ymax in boxes:
        corners = np.array([[xmin, ymin], [xmax, ymin], [xmax, ymax], [xmin, ymax]])
        if matrix is not None:
            corners = corners @ matrix[:, :2].T + matrix[:, 2]
        canvas = np.zeros((cells * FINENESS, cells * FINENESS), np.uint8)
        cv2.fillConvexPoly(canvas, np.rint(corners * scale).astype(np.int32), 1)
        share = canvas.reshape(cells, FINENESS, cells, FINENESS).mean(axis=(1, 3), dtype=np.float32)
        if share.max() > 0:
            target = np.maximum(target, share / share.max())
    return target
