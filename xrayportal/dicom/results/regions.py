"""The regions of a view that are outlined, by the rule of the viewer.

A region is where the positive evidence, sampled linearly between the middles of the map's cells, reaches half
of the map's own maximum; it is outlined if it reaches three quarters of it somewhere. The browser has these
three numbers in ``static/study/viewer/heatmap.js``, and a test compares what both draw.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: Outlines run at this share of the map's own maximum.
OUTLINE_SHARE = 0.5
#: A region is outlined that somewhere reaches this share of the maximum.
REGION_SHARE = 0.75
#: Longest side of the grid that the map, which has a few dozen cells, is sampled on.
OUTLINE_SIDE = 256
_TOLERANCE = 1.0


def hot_regions(signed: dict[str, Any], columns: int, rows: int) -> NDArray[np.int32]:
    """Number the regions on a grid over the picture of ``columns`` by ``rows`` pixels.

    ``signed`` is the stored map (``height``, ``width``, ``values`` row by row). Returns ``int32 (h, w)``, the
    longer side `OUTLINE_SIDE`: 0 outside, 1 in the region with the strongest evidence, 2 in the next. Without
    positive evidence all are 0.
    """
    shrink = OUTLINE_SIDE / max(columns, rows)
    size = max(1, round(columns * shrink)), max(1, round(rows * shrink))
    values = np.asarray(signed["values"], np.float32).reshape(signed["height"], signed["width"])
    field = np.asarray(cv2.resize(np.maximum(values, 0), size, interpolation=cv2.INTER_LINEAR), np.float32)
    most = float(field.max())
    numbered = np.zeros(field.shape, np.int32)
    if most <= 0:
        return numbered
    count, labels = cv2.connectedComponents((field >= most * OUTLINE_SHARE).astype(np.uint8), connectivity=4)
    peaks = {label: float(field[labels == label].max()) for label in range(1, count)}
    hot = [label for label in peaks if peaks[label] >= most * REGION_SHARE]
    for number, label in enumerate(sorted(hot, key=lambda label: -peaks[label]), start=1):
        numbered[labels == label] = number
    return numbered


def outlines(signed: dict[str, Any] | None, columns: int, rows: int) -> list[NDArray[np.float64]]:
    """Outline the regions: closed polygons, each ``(n, 2)`` of columns and rows; none without evidence.

    First the outer one of the region with the strongest evidence; a hole in a region has an outline, too. The
    origin is the upper left corner of the upper left pixel, as in DICOM.
    """
    if signed is None:
        return []
    numbered = hot_regions(signed, columns, rows)
    return [
        outline
        for number in range(1, int(numbered.max()) + 1)
        for outline in _outlines_of(numbered == number, columns, rows)
    ]


def _outlines_of(region: NDArray[np.bool_], columns: int, rows: int) -> list[NDArray[np.float64]]:
    """The outer outline of one region, then those of its holes."""
    height, width = region.shape
    # Twice as large, so that the outline of a region one sample wide encloses it.
    doubled = np.repeat(np.repeat(region.astype(np.uint8), 2, axis=0), 2, axis=1)
    found, _hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    closed = []
    for contour in sorted(found, key=cv2.contourArea, reverse=True):
        corners = cv2.approxPolyDP(contour, _TOLERANCE, closed=True).reshape(-1, 2).astype(np.float64)
        points = (corners + 0.5) * (columns / width / 2, rows / height / 2)
        closed.append(np.vstack([points, points[:1]]))
    return closed
