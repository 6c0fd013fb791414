"""In which precision a network runs: bf16 where the processor computes in it and answers stay the same."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from inference_worker.types import Runtime

AUTO, EXACT, FAST = "auto", "f32", "bf16"
#: What a logit may differ by, and a map on average over its positions, in shares of its own range. On
#: radiographs bf16 moves a logit by 0.03 on average, and single positions of a map by up to a quarter of its
#: range (docs/experiments.md); a processor or library that computes something else is off everywhere.
LOGIT, MAP = 0.5, 0.08
#: Pictures that both are asked about.
PROBES = 4
logger = logging.getLogger(__name__)


def fastest(open_in: Callable[[str], Runtime], size: int) -> Runtime:
    """The network in bf16 if it answers as it does in f32, else in f32.

    ``open_in`` opens it in a precision; ``size`` is the side of its input in pixels.
    """
    exact = open_in(EXACT)
    try:
        fast = open_in(FAST)
    except RuntimeError as error:
        logger.warning("The network runs in f32, since it cannot be opened in bf16: %s", error)
        return exact
    for picture in probes(size):
        expected, actual = exact.infer(picture), fast.infer(picture)
        logit = float(np.abs(expected.logit - actual.logit).max(initial=0.0))
        spread = max(1.0, float(np.ptp(expected.map)) if expected.map.size else 0.0)
        evidence = float(np.abs(expected.map - actual.map).mean()) / spread if expected.map.size else 0.0
        # Written so that what is no number is refused, too.
        if not (logit <= LOGIT and evidence <= MAP):
            logger.warning(
                "The network runs in f32: in bf16 a logit is off by %.2g here, and the map by %.0f %%.",
                logit,
                100 * evidence,
            )
            return exact
    return fast


def probes(size: int) -> list[NDArray[np.float32]]:
    """Drawn pictures ``(1, size, size, 1)``, the same each time: a bright shaft with a gap, softly lit."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    pictures = []
    for number in range(PROBES):
        slope = 0.15 * (number - 1.5)
        middle = 0.5 + slope * (rows - 0.5)
        shaft = 170 * np.exp(-(((columns - middle) / 0.09) ** 2))
        gap = 1 - 0.8 * np.exp(-(((rows - 0.3 - 0.1 * number) / 0.02) ** 2))
        soft = 60 * np.exp(-(((columns - middle) / 0.22) ** 2))
        pictures.append((shaft * gap + soft + 10).astype(np.float32)[np.newaxis, :, :, np.newaxis])
    return pictures
