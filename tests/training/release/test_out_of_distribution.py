"""The out-of-distribution detector: fitted on made-up embeddings, saved, read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference_worker.out_of_distribution import OutOfDistributionDetector
from training.release import out_of_distribution
from training.release.outliers import DRAWN, PHOTOGRAPHS, outliers

D = 40


@pytest.fixture(scope="module")
def detector() -> OutOfDistributionDetector:
    generator = np.random.default_rng(0)
    body_part = np.repeat([0, 1, -1], [300, 300, 20]).astype(np.int32)
    return out_of_distribution.fit_embeddings(
        _radiographs(generator, body_part), body_part, _fresh(generator), _others(generator)
    )


def _radiographs(generator: np.random.Generator, body_part: np.ndarray) -> np.ndarray:
    values = generator.normal(0, 1, (len(body_part), D))
    values[:, 0] += 6.0 * body_part
    return values.astype(np.float32)


def _fresh(generator: np.random.Generator) -> np.ndarray:
    return _radiographs(generator, generator.integers(0, 2, 400))


def _others(generator: np.random.Generator) -> np.ndarray:
    values = generator.normal(0, 1, (30, D))
    values[:, 5] += 9
    return values.astype(np.float32)


def test_radiographs_pass_and_others_do_not(detector: OutOfDistributionDetector) -> None:
    generator = np.random.default_rng(1)
    assert (detector.distance(_fresh(generator)) > 1).mean() < 0.05
    assert (detector.distance(_others(generator)) > 1).mean() > 0.9
    # Far away in a direction that no example showed: the Mahalanobis distance sees it.
    far = np.zeros((1, D), np.float32)
    far[0, 20] = 60
    assert detector.distance(far)[0] > 1


def test_a_detector_survives_its_file(detector: OutOfDistributionDetector, tmp_path: Path) -> None:
    out_of_distribution.save(detector, tmp_path / "out_of_distribution.npz")
    again = OutOfDistributionDetector.load(
        tmp_path / "out_of_distribution.npz", detector.limit, detector.chroma_limit
    )
    values = _fresh(np.random.default_rng(2))
    np.testing.assert_allclose(again.distance(values), detector.distance(values), rtol=1e-6)
    assert again.colour(2 * detector.chroma_limit) == 2


def test_a_file_that_is_no_detector(tmp_path: Path) -> None:
    np.savez(tmp_path / "out_of_distribution.npz", centre=np.zeros(3))
    with pytest.raises(KeyError, match="scale"):
        OutOfDistributionDetector.load(tmp_path / "out_of_distribution.npz", 1, 1)


def test_what_sets_a_detector_never_judges_it() -> None:
    assert not set(PHOTOGRAPHS["set"]) & set(PHOTOGRAPHS["judge"])
    setting, judging = (
        {(o.kind, o.pixels.tobytes()) for o in outliers(half) if not o.kind.startswith(("blank", "dot"))}
        for half in ("set", "judge")
    )
    assert not setting & judging
    assert {o.kind for o in outliers("judge")} >= set(DRAWN)


def test_varied_copies_differ_but_keep_their_form() -> None:
    squares = np.random.default_rng(4).integers(0, 256, (6, 64, 64)).astype(np.uint8)
    copies = out_of_distribution.varied(squares, seed=1)
    assert copies.shape == squares.shape
    assert copies.dtype == np.uint8
    assert all((a != b).any() for a, b in zip(copies, squares, strict=True))
