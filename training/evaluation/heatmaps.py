"""Does the map look where the fracture is? Maps of positions against the boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference_worker.gradcam import crop, peak
from inference_worker.preprocess import fit
from training.datasets.record import Box, Record

#: Slack around a box, in pixels of a square of ``SLACK_SIZE``: a map's position covers 16 of them.
SLACK, SLACK_SIZE = 15.0, 320


def cropped(evidence: NDArray[np.float32], record: Record, size: int) -> NDArray[np.float32]:
    """The map ``(h, w)`` over the ``size`` square as the portal shows it: over the picture only."""
    return crop(evidence, fit(record.width, record.height, size))


def slack_of(record: Record) -> float:
    """The slack in the stored picture's pixels."""
    return SLACK * max(record.width, record.height) / SLACK_SIZE


def hits(evidence: NDArray[np.float32], record: Record, size: int, slack: float | None = None) -> bool:
    """Does the map's peak lie in a box of ``record`` grown by ``slack`` (stored pixels)?"""
    shown = cropped(evidence, record, size)
    point = peak(shown, record.width, record.height)
    return inside(point, record.boxes, slack_of(record) if slack is None else slack)


def inside(point: tuple[float, float], boxes: Sequence[Box], slack: float) -> bool:
    """Is ``(x, y)`` in one of ``boxes`` grown by ``slack`` on every side?"""
    x, y = point
    return any(
        xmin - slack <= x <= xmax + slack and ymin - slack <= y <= ymax + slack
        for xmin, ymin, xmax, ymax in boxes
    )


def share_inside(record: Record) -> float:
    """The chance that a random point of the picture hits: the area of the grown boxes' union."""
    grown = np.zeros((64, 64), bool)
    slack = slack_of(record)
    rows = (np.arange(64) + 0.5) * record.height / 64
    columns = (np.arange(64) + 0.5) * record.width / 64
    for xmin, ymin, xmax, ymax in record.boxes:
        down = (rows >= ymin - slack) & (rows <= ymax + slack)
        across = (columns >= xmin - slack) & (columns <= xmax + slack)
        grown |= np.outer(down, across)
    return float(grown.mean())


def box_mask(shape: tuple[int, ...], record: Record) -> NDArray[np.bool_]:
    """Positions of a cropped map ``(h, w)`` that touch a box of ``record``."""
    height, width = shape
    mask = np.zeros((height, width), bool)
    for xmin, ymin, xmax, ymax in record.boxes:
        top, bottom = int(ymin * height / record.height), int(np.ceil(ymax * height / record.height))
        left, right = int(xmin * width / record.width), int(np.ceil(xmax * width / record.width))
        mask[max(0, top) : max(bottom, top + 1), max(0, left) : max(right, left + 1)] = True
    return mask


def energy(evidence: NDArray[np.float32], record: Record, size: int) -> float:
    """Share of the positive evidence on positions that touch a box, 0 to 1; 0 for an empty map."""
    shown = np.maximum(cropped(evidence, record, size), 0)
    total = float(shown.sum())
    return float(shown[box_mask(shown.shape, record)].sum()) / total if total > 0 else 0.0
