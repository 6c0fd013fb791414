"""Explanations and their measures where the answer is known."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import outputs_of
from training.evaluation import explanations
from training.evaluation.explain import CASCADE, shuffled
from training.network.names import POOLINGS
from training.network.pooling import pool
from training.network.unified import unified
from training.release.portable import portable

# Keras 3.15 writes its variables in a way that NumPy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 2, (4, 5, 6))


@pytest.fixture
def kernel() -> np.ndarray:
    return np.random.default_rng(2).normal(size=6)


def slopes(features: np.ndarray, kernel: np.ndarray, kind: str) -> np.ndarray:
    """The logit's derivative by every feature, by automatic differentiation."""
    values = tf.constant(features[np.newaxis], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(values)
        logit = pool(tf.einsum("nhwk,k->nhw", values, tf.constant(kernel, tf.float32)), kind, 0.7)
    return np.asarray(tape.gradient(logit, values))[0]


@pytest.mark.parametrize("kind", POOLINGS)
def test_the_closed_derivative_is_the_automatic_one(
    features: np.ndarray, kernel: np.ndarray, kind: str
) -> None:
    pull = explanations.pull_of(features @ kernel, kind, 0.7)
    assert pull.sum() == pytest.approx(1)
    expected = slopes(features, kernel, kind)
    np.testing.assert_allclose(kernel * pull[..., np.newaxis], expected, atol=1e-5)
    cam = np.maximum((np.maximum(expected, 0) * features).sum(-1), 0)
    np.testing.assert_allclose(explanations.layer_cam(features, kernel, pull), cam, atol=1e-5)


def test_grad_cam_plus_plus_by_hand() -> None:
    """One channel of weight 2 under mean pooling over two positions: alpha is 1 / (2 + sum(A))."""
    features = np.array([[[1.0], [3.0]]])
    actual = explanations.grad_cam_plus_plus(features, np.array([2.0]), np.full((1, 2), 0.5))
    # The slope is 1 at both positions, alpha 1 / (2 + 4), the channel's weight twice that.
    np.testing.assert_allclose(actual, [[1 / 3, 1.0]])


def test_score_cam_follows_the_channel_that_matters() -> None:
    """A score that sees the left half only gives the channel that lights it nearly all the weight."""
    features = np.zeros((2, 2, 3))
    features[:, 0, 0] = features[:, 1, 1] = 1
    square = np.full((8, 8), 200, np.uint8)
    actual = explanations.score_cam(features, square, lambda some: some[:, :, :3].mean(axis=(1, 2)) / 10.0)
    assert actual[0, 0] > 0.99
    assert actual[0, 1] < 0.01
    flat = explanations.score_cam(np.ones((2, 2, 3)), square, lambda some: np.zeros(len(some)))
    assert not flat.any(), "channels that are flat say nothing about where"


def test_iou_of_a_perfect_and_of_an_empty_map() -> None:
    mask = np.zeros((6, 6), bool)
    mask[1:3, 1:4] = True
    perfect, empty = mask * 3.0, np.zeros((6, 6))
    values, _ = explanations.best_iou([perfect, empty], [mask, mask])
    np.testing.assert_allclose(values, [1, 0])
    # Half the map's height lies outside: only thresholds above it give the mask alone.
    values, threshold = explanations.best_iou([np.where(mask, 2.0, 1.0)], [mask])
    assert values[0] == 1
    assert threshold > 0.5


def test_deletion_and_insertion_reward_the_right_order() -> None:
    square = np.zeros((20, 20), np.uint8)
    square[:4, :4] = 255
    blank = np.zeros_like(square)
    right = np.zeros((20, 20))
    right[:4, :4] = 1
    areas = {}
    for name, order in (("right", right), ("wrong", -right)):
        for insertion in (False, True):
            shown = explanations.steps(square, blank, order, insertion=insertion)
            np.testing.assert_array_equal(shown[0], blank if insertion else square)
            np.testing.assert_array_equal(shown[-1], square if insertion else blank)
            areas[name, insertion] = explanations.area(shown[:, :4, :4].mean(axis=(1, 2)) / 255)
    assert areas["right", False] < 0.05 < 0.8 < areas["wrong", False]
    assert areas["right", True] > 0.95 > 0.2 > areas["wrong", True]


def test_the_area_of_a_line() -> None:
    shares = np.array(explanations.SHARES)
    assert explanations.area(np.full(len(shares), 0.3)) == pytest.approx(0.3)
    assert explanations.area(shares) == pytest.approx(0.5)


def test_rank_correlation() -> None:
    values = np.random.default_rng(3).normal(size=(4, 4))
    assert explanations.rank_correlation(values, np.exp(values)) == pytest.approx(1)
    assert explanations.rank_correlation(values, -values) == pytest.approx(-1)
    assert explanations.rank_correlation(values, np.ones((4, 4))) == 0


def test_shuffling_changes_only_what_is_named() -> None:
    keras.utils.set_random_seed(4)
    network = portable(unified(64, 2))
    pictures = np.random.default_rng(5).uniform(0, 255, (2, 64, 64, 1)).astype(np.float32)
    before = outputs_of(network, pictures)
    same = outputs_of(shuffled(network, ("none of these",), 1), pictures)
    np.testing.assert_allclose(same["map"], before["map"], rtol=1e-3, atol=1e-12)
    head = outputs_of(shuffled(network, CASCADE["head"], 1), pictures)
    np.testing.assert_allclose(head["part"], before["part"], atol=1e-5)
    assert explanations.rank_correlation(head["map"], before["map"]) < 0.9
