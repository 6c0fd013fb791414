"""The outline of the hottest region of a view, in pixels of the original image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference_worker.gradcam import evidence
from inference_worker.render import within

#: The outline runs at this share of the map's own maximum, as in the viewer.
OUTLINE_SHARE = 0.5
#: The map is resampled to this many pixels before the outline is drawn; it has a few dozen cells.
_LONGEST_SIDE = 512
_TOLERANCE = 1.0


def hottest_region(signed: dict[str, Any] | None, columns: int, rows: int) -> NDArray[np.float64] | None:
    """The closed outline around the strongest evidence, ``(n, 2)`` columns and rows; None without evidence.

    ``signed`` is the stored map. The origin is the upper left corner of the upper left pixel, as in DICOM.
    """
    if signed is None:
        return None
    values = np.asarray(signed["values"], np.float32).reshape(signed["height"], signed["width"])
    width, height = within(columns, rows, _LONGEST_SIDE)
    field = evidence(values, signed["scale"], width, height)
    peak = float(field.max())
    if peak <= 0:
        return None
    inside = (field >= peak * OUTLINE_SHARE).astype(np.uint8)
    _count, labels = cv2.connectedComponents(inside, connectivity=4)
    row, column = np.unravel_index(int(field.argmax()), field.shape)
    region = (labels == labels[row, column]).astype(np.uint8)
    # Twice as large, so that the outline of a region one pixel wide encloses it.
    doubled = cv2.resize(region, (width * 2, height * 2), interpolation=cv2.INTER_NEAREST)
    outlines, _hierarchy = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = cv2.approxPolyDP(max(outlines, key=cv2.contourArea), _TOLERANCE, closed=True)
    points = (outline.reshape(-1, 2).astype(np.float64) + 0.5) * (columns / width / 2, rows / height / 2)
    points = np.clip(points, 0, (columns, rows))
    return np.vstack([points, points[:1]])
