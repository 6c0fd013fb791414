"""Would a second pass tell hits from misses: blur what the map points at, and ask again?

What the verdict rests on matters to it, so the logit should fall more where the map is right. It is measured
beside the peak's height, which costs nothing; ``docs/experiments.md`` says why no bundle asks twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference_worker.preprocess import fit
from inference_worker.trust import REACH
from training import metrics
from training.datasets import Record
from training.explanations import Floats, Score, Squares
from training.heatmaps import cropped, hits

#: Standard deviation of the blur, in shares of the side: as in deletion.
BLUR = 0.04


def without_peak(square: Squares, evidence: Floats, record: Record) -> Squares:
    """``square uint8 (S, S)`` with the hot region of its map ``evidence (h, w)`` blurred.

    The region is that of ``inference_worker.trust``: the peak's position and its neighbours.
    """
    size = square.shape[0]
    place = fit(record.width, record.height, size)
    shown = cropped(np.asarray(evidence, np.float32), record, size)
    row, column = np.unravel_index(int(shown.argmax()), shown.shape)
    rows = _stretch(int(row), shown.shape[0], place.top, place.inner_height)
    columns = _stretch(int(column), shown.shape[1], place.left, place.inner_width)
    found = square.copy()
    found[rows, columns] = cv2.GaussianBlur(square, (0, 0), BLUR * size)[rows, columns]
    return found


def _stretch(position: int, positions: int, start: int, length: int) -> slice:
    """The pixels of a position and its neighbours along one side of the picture."""
    first, last = max(0, position - REACH), min(positions, position + REACH + 1)
    return slice(start + first * length // positions, start + -(-last * length // positions))


def measured(
    maps: Sequence[Floats], squares: Squares, records: Sequence[Record], score: Score
) -> dict[str, Any]:
    """AUROC of hits over misses by peak height and by the logit's fall, and what the fall gains.

    Empty where all hit, or none. ``score`` gives logits of ``uint8 (N, S, S)``.
    """
    size = squares.shape[1]
    evidence = [np.asarray(map_, np.float32) for map_ in maps]
    hit = np.array([hits(*pair, size) for pair in zip(evidence, records, strict=True)], bool)
    if hit.all() or not hit.any():
        return {}
    height = np.array([cropped(*pair, size).max() for pair in zip(evidence, records, strict=True)])
    blurred = [without_peak(*row) for row in zip(squares, evidence, records, strict=True)]
    fall = np.ravel(score(squares)) - np.ravel(score(np.array(blurred)))
    groups = np.array([record.group for record in records])

    def figure(*scores: Floats) -> metrics.Figure:
        def gain(rows: NDArray[np.intp]) -> float:
            first, *rest = (metrics.auc(hit[rows], values[rows]) for values in scores)
            return first - sum(rest)

        return metrics.bootstrap(gain, groups, len(hit))

    return {"peak_height": figure(height), "fall": figure(fall), "gain": figure(fall, height)}
