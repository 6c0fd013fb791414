"""One random placement of a picture, applied to its pixels, its boxes and maps over it alike.

Then its grey levels: exposure, sharpness, noise, and a patch without anything to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.datasets.record import Box

#: Boxes are drawn this many times finer than the grid before they are averaged into its cells.
FINENESS = 16
#: Grey levels up to this one are film without anything on it; exposure leaves them dark.
DARK = 2
#: Sides of an erased patch, in shares of the picture's, and how often a place without a box is looked for.
PATCH, TRIES = (0.1, 0.4), 10

Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]
#: Four corners ``(4, 2)`` of a box that was moved, in target pixels.
Corners = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges and chances, 0 for none.

    Placement: ``rotation`` and ``shear`` in degrees, ``zoom`` and ``aspect`` (one side against the other) as
    exponents, ``shift`` in shares of the side. ``collimation`` is the chance of bright or dark bands along
    opposite sides, as collimators and unexposed film leave them; the FracAtlas pictures have few, other
    sources many. Exposure: ``contrast`` is the exponent of gamma, ``gain`` the share by which grey levels are
    multiplied, ``brightness`` the grey levels added. ``blur`` is the chance of a 3x3 mean, ``noise`` the
    largest standard deviation of noise in grey levels and ``noise_chance`` its chance, ``erase`` the
    chance of a flat patch beside all boxes. ``cutmix`` is the chance of a window from another picture
    (``training.learning.cutmix``).
    """

    rotation: float = 15.0
    zoom: float = 0.15
    shift: float = 0.06
    contrast: float = 0.25
    flips: bool = True
    collimation: float = 0.0
    aspect: float = 0.0
    shear: float = 0.0
    gain: float = 0.0
    brightness: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    noise_chance: float = 0.3
    erase: float = 0.0
    cutmix: float = 0.0


def draw(augmentation: Augmentation, size: int, generator: np.random.Generator) -> Matrix:
    """A random ``(2, 3)`` affine matrix from source to target pixels of a ``size`` square."""
    angle = np.deg2rad(generator.uniform(-augmentation.rotation, augmentation.rotation))
    zoom = np.exp(generator.uniform(-augmentation.zoom, augmentation.zoom))
    across, down = 1.0, 1.0
    if augmentation.flips:
        across, down = (-1.0 if generator.random() < 0.5 else 1.0 for _ in range(2))
    shift = generator.uniform(-augmentation.shift, augmentation.shift, 2) * size
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * zoom
    turn = turn @ np.diag([across, down])
    if augmentation.aspect:
        half = generator.uniform(-augmentation.aspect, augmentation.aspect) / 2
        turn = turn @ np.diag([np.exp(half), np.exp(-half)])
    if augmentation.shear:
        slope = np.tan(np.deg2rad(generator.uniform(-augmentation.shear, augmentation.shear)))
        turn = turn @ np.array([[1.0, slope], [0.0, 1.0]])
    centre = np.full(2, (size - 1) / 2)
    return np.concatenate([turn, (centre - turn @ centre + shift)[:, None]], axis=1)


def warp(square: Pixels, matrix: Matrix) -> Pixels:
    """``square`` moved by ``matrix``; what comes from outside is black, as in letterboxing."""
    size = square.shape[0]
    return cv2.warpAffine(square, matrix, (size, size), flags=cv2.INTER_LINEAR).astype(np.uint8)


def warp_map(values: NDArray[np.float32], matrix: Matrix, size: int) -> NDArray[np.float32]:
    """A map ``(cells, cells)`` over the ``size`` square, moved as ``matrix`` moves its pixels; outside 0."""
    cells = values.shape[0]
    step = size / cells
    centre = (step - 1) / 2  # of the first cell, in pixels
    turn = matrix[:, :2]
    offset = (turn @ np.full(2, centre) + matrix[:, 2] - centre) / step
    moved = cv2.warpAffine(
        values, np.concatenate([turn, offset[:, None]], axis=1), (cells, cells), flags=cv2.INTER_LINEAR
    )
    return np.asarray(moved, np.float32)


def moved_corners(boxes: Sequence[Box], matrix: Matrix | None) -> list[Corners]:
    """The corners of each box after ``matrix``."""
    found = []
    for xmin, ymin, xmax, ymax in boxes:
        corners = np.array([[xmin, ymin], [xmax, ymin], [xmax, ymax], [xmin, ymax]], np.float64)
        found.append(corners if matrix is None else corners @ matrix[:, :2].T + matrix[:, 2])
    return found


def collimate(
    square: Pixels, boxes: Sequence[Box], augmentation: Augmentation, generator: np.random.Generator
) -> Pixels:
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


def relight(square: Pixels, augmentation: Augmentation, generator: np.random.Generator) -> Pixels:
    """A random gamma, gain and brightness: exposure differs between machines, unexposed film stays dark."""
    gamma = float(np.exp(generator.uniform(-augmentation.contrast, augmentation.contrast)))
    levels = 255.0 * (np.arange(256) / 255.0) ** gamma
    if augmentation.gain or augmentation.brightness:
        gain = 1 + generator.uniform(-augmentation.gain, augmentation.gain)
        added = generator.uniform(-augmentation.brightness, augmentation.brightness)
        levels[DARK + 1 :] = np.clip(levels[DARK + 1 :] * gain + added, 0, 255)
    return cv2.LUT(square, np.rint(levels).astype(np.uint8)).astype(np.uint8)


def degrade(square: Pixels, augmentation: Augmentation, generator: np.random.Generator) -> Pixels:
    """Softened and noisy, each by chance."""
    if augmentation.blur and generator.random() < augmentation.blur:
        square = cv2.blur(square, (3, 3)).astype(np.uint8)
    if augmentation.noise and generator.random() < augmentation.noise_chance:
        spread = generator.uniform(0, augmentation.noise)
        noise = generator.standard_normal(square.shape, np.float32) * np.float32(spread)
        square = np.clip(np.rint(square + noise), 0, 255).astype(np.uint8)
    return square


def erase(
    square: Pixels, boxes: Sequence[Corners], augmentation: Augmentation, generator: np.random.Generator
) -> Pixels:
    """``square`` with one flat patch, by chance; it lies on no box, or is left out."""
    if not augmentation.erase or generator.random() >= augmentation.erase:
        return square
    size = square.shape[0]
    high, wide = (int(side) for side in generator.uniform(*PATCH, 2) * size)
    level = int(generator.integers(0, 256))
    for _ in range(TRIES):
        top, left = (int(generator.integers(0, size - side + 1)) for side in (high, wide))
        if not any(_touches(corners, left, top, left + wide, top + high) for corners in boxes):
            patched = square.copy()
            patched[top : top + high, left : left + wide] = level
            return patched
    return square


def grid_target(boxes: Sequence[Corners], size: int, cells: int) -> NDArray[np.float32]:
    """What the evidence map should say: ``(cells, cells)``, 0 to 1.

    A cell's value is the share of it that a box covers, relative to the best covered cell of
    that box: a box smaller than a cell still teaches one cell fully.
    """
    target = np.zeros((cells, cells), np.float32)
    for corners in boxes:
        share = drawn(corners, size, cells).reshape(cells, FINENESS, cells, FINENESS)
        share = share.mean(axis=(1, 3), dtype=np.float32)
        if share.max() > 0:
            target = np.maximum(target, share / share.max())
    return target


def drawn(corners: Corners, size: int, cells: int) -> Pixels:
    """One box as 0 and 1 on a grid ``FINENESS`` times finer than the map's: ``(fine, fine)``."""
    fine = cells * FINENESS
    canvas = np.zeros((fine, fine), np.uint8)
    cv2.fillConvexPoly(canvas, np.rint(corners * fine / size).astype(np.int32), 1)
    return canvas


def _touches(corners: Corners, left: int, top: int, right: int, bottom: int) -> bool:
    """Does the box around ``corners`` touch this rectangle?"""
    (xmin, ymin), (xmax, ymax) = corners.min(axis=0), corners.max(axis=0)
    return bool(xmin <= right and left <= xmax and ymin <= bottom and top <= ymax)
