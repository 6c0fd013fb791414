"""The last step of every decoder: square pixels, the right way up, as one `Radiograph`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from inference_worker import notes
from inference_worker.decode import aspect, grey
from inference_worker.decode.limits import Limits
from inference_worker.types import Depth, Radiograph


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture as its file stores it: display levels ``(H, W)``, and `Radiograph`'s other values."""

    pixels: NDArray[np.uint8]
    chroma: float = 0.0
    depth: Depth | None = None
    notes: tuple[str, ...] = ()


def finish(
    shown: Shown,
    limits: Limits,
    *,
    tall: float | Fraction | None = None,
    orientation: int = 1,
    spacing: tuple[float, float] | None = None,
) -> Radiograph:
    """Resample pixels that are ``tall`` times as high as wide, undo the EXIF ``orientation``.

    ``spacing`` is millimetres per pixel (row, column) of the picture as it is stored.
    """
    pixels, depth, noted = shown.pixels, shown.depth, shown.notes
    tall = None if tall is None else float(tall)
    if not aspect.is_square(tall):
        height, width = pixels.shape
        pixels = aspect.squared(pixels, tall, limits)
        noted = (*noted, notes.RESAMPLED)
        if depth is not None:
            depth = replace(depth, codes=aspect.squared(depth.codes, tall, limits))
        if spacing is not None:
            spacing = spacing[0] * height / pixels.shape[0], spacing[1] * width / pixels.shape[1]
    if depth is not None:
        depth = replace(depth, codes=grey.orient(depth.codes, orientation))
    return Radiograph(
        pixels=grey.orient(pixels, orientation),
        chroma=shown.chroma,
        spacing=spacing,
        notes=noted,
        depth=depth,
    )
