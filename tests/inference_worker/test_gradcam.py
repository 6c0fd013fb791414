"""The closed form equals Grad-CAM by its definition, for every pooling that commutes with a shift."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from inference_worker.gradcam import grad_cam

Array = NDArray[np.float64]


def log_sum_exp(temperature: float) -> Callable[[Array], float]:
    def pool(values: Array) -> float:
        return float(temperature * np.log(np.mean(np.exp(values / temperature))))

    return pool


def top(count: int) -> Callable[[Array], float]:
    return lambda values: float(np.sort(values.ravel())[-count:].mean())


POOLINGS: dict[str, Callable[[Array], float]] = {
    "mean": lambda values: float(values.mean()),
    "max": lambda values: float(values.max()),
    "top 5": top(5),
    "log-sum-exp at 1": log_sum_exp(1.0),
    "log-sum-exp at 0.1": log_sum_exp(0.1),
    "log-sum-exp at 10": log_sum_exp(10.0),
}


@pytest.mark.parametrize("name", POOLINGS)
def test_closed_form_equals_the_definition(name: str) -> None:
    """Gradients by central differences: no framework, no closed form of its own to share a mistake with."""
    pool = POOLINGS[name]
    rng = np.random.default_rng(11)
    features, weights = rng.normal(size=(4, 6, 3)), rng.normal(size=3)
    signed = features @ weights

    def logit(values: Array) -> float:
        return pool(values @ weights) + 0.7

    step = 1e-6
    gradient = np.zeros_like(features)
    for place in np.ndindex(features.shape):
        ahead, behind = features.copy(), features.copy()
        ahead[place] += step
        behind[place] -= step
        gradient[place] = (logit(ahead) - logit(behind)) / (2 * step)
    channel_weights = gradient.mean(axis=(0, 1))
    by_definition = np.maximum(features @ channel_weights, 0)
    assert np.allclose(grad_cam(signed.astype(np.float32)), by_definition, atol=1e-6)


def test_evidence_of_mean_pooling_adds_up_to_the_logit() -> None:
    signed = np.random.default_rng(12).normal(size=(5, 7))
    assert signed.sum() == pytest.approx(35 * POOLINGS["mean"](signed))
