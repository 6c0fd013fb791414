"""The heatmap's ramp is even to the eye."""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2lab

from inference_worker.colours import ramp


def test_steps_are_even_and_lightness_rises() -> None:
    lab = rgb2lab(ramp()[np.newaxis] / 255.0)[0]
    # Eight levels apart, so that rounding to whole sRGB values does not count.
    steps = np.linalg.norm(lab[8:] - lab[:-8], axis=1)
    assert steps.max() / steps.min() < 1.25
    assert (lab[8:, 0] > lab[:-8, 0]).all()
    assert lab[0, 0] < 25
    assert lab[-1, 0] > 90
