"""The out-of-distribution detector: fitted on made-up embeddings, saved, read back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from inference_worker.out_of_distribution import OutOfDistributionDetector
from training.datasets.record import DatasetError
from training.release import out_of_distribution, variation
from training.release.outliers import DRAWN, PHOTOGRAPHS, outliers
from training.release.strangers import read_strangers

D = 40


@pytest.fixture(scope="module")
def detector() -> OutOfDistributionDetector:
    generator = np.random.default_rng(0)
    body_part = np.repeat([0, 1, -1], [300, 300, 20]).astype(np.int32)
    return out_of_distribution.fit_embeddings(
        _radiographs(generator, body_part),
        body_part,
        _fresh(generator),
        _others(generator),
        ["one"] * 20 + ["two"] * 10,
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


def test_varied_copies_are_pictures_of_other_sizes() -> None:
    picture = np.random.default_rng(4).integers(0, 256, (300, 200)).astype(np.uint8)
    generator = np.random.default_rng(1)
    copies = [variation.varied(picture, generator) for _ in range(12)]
    assert all(copy.dtype == np.uint8 and copy.ndim == 2 and min(copy.shape) >= 8 for copy in copies)
    assert len({copy.shape for copy in copies}) > 6
    assert variation.varied(np.zeros((1, 1), np.uint8), generator).size


def test_metal_is_bright_and_covers_a_part() -> None:
    picture = np.full((300, 200), 60, np.uint8)
    for seed in range(12):
        bright = variation.with_metal(picture, np.random.default_rng(seed)) > 200
        assert 0 < bright.mean() < 0.5
    assert picture.max() == 60, "the picture itself stays"


def test_a_source_is_one_voice() -> None:
    """Ninety pictures of one source and ten of another: the small one still turns its like away."""
    generator = np.random.default_rng(3)
    body_part = np.repeat([0, 1], 300).astype(np.int32)
    outside = generator.normal(0, 1, (200, D)).astype(np.float32)
    outside[:190, 5] += 9
    outside[190:, 6] += 9
    fitted = out_of_distribution.fit_embeddings(
        _radiographs(generator, body_part), body_part, _fresh(generator), outside, ["a"] * 190 + ["b"] * 10
    )
    few = generator.normal(0, 1, (50, D)).astype(np.float32)
    few[:, 6] += 9
    assert (fitted.distance(few) > 1).mean() > 0.9


def test_strangers_are_read_by_source(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.full((20, 20), 90, np.uint8))
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("file,source,licence\na.png,one,CC0\nb.png,two,MIT\n")
    assert [(one.source, one.licence) for one in read_strangers(tmp_path)] == [("one", "CC0"), ("two", "MIT")]
    assert [one.source for one in read_strangers(tmp_path, ["one"])] == ["two"]
    for without, words in ((["three"], "no source called three"), (["one", "two"], "no picture of another")):
        with pytest.raises(DatasetError, match=words):
            read_strangers(tmp_path, without)
    manifest.write_text("file\na.png\n")
    with pytest.raises(DatasetError, match="lacks the columns licence, source"):
        read_strangers(tmp_path)
    with pytest.raises(DatasetError, match=r"manifest\.csv is missing"):
        read_strangers(tmp_path / "none")
