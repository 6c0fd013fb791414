"""The whole way with bundles whose answers can be worked out by hand (`tests.inference_worker.tiny`)."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference_worker.bundle import Bundle
from inference_worker.pipeline import BATCH, Pipeline, Result
from inference_worker.runtimes import load_runtimes
from inference_worker.types import UnreadableError
from tests.inference_worker.drawing import encoded
from tests.inference_worker.tiny import BIASES


def checkered(level: int, side: int = 128) -> NDArray[np.uint8]:
    """Halves of 0 and ``level`` in single pixels: every cell has the same mean."""
    board = np.indices((side, side)).sum(axis=0) % 2
    return (board * level).astype(np.uint8)


def expected_probability(mean: float, bias: float, offset: float) -> float:
    return 1 / (1 + math.exp(-(10 * mean - 4 + bias + 0.5 + offset)))


@pytest.fixture(scope="module")
def experts(bundles: Path) -> Pipeline:
    bundle = Bundle.load(bundles / "experts")
    return Pipeline(bundle, load_runtimes(bundle, threads=1))


def test_finding_by_hand(pipeline: Pipeline) -> None:
    data = encoded(checkered(255), "PNG")
    result = pipeline.analyse(data)
    finding = result.finding
    assert result.sha256 == hashlib.sha256(data).hexdigest()
    assert (finding.width, finding.height) == (128, 128)
    # The mean brightness is a half; the body parts' logits are 4 - 8/2, -4 + 8/2 and 1.
    assert max(finding.body_parts, key=lambda body_part: finding.body_parts[body_part]) == "ankle"
    assert sum(finding.body_parts.values()) == pytest.approx(1)
    assert finding.probability == pytest.approx(expected_probability(0.5, 0, 0), abs=1e-4)
    assert finding.verdict == "abnormal"
    assert finding.map is not None
    assert finding.map.shape == (16, 16)
    assert np.allclose(finding.map, 1.0, atol=1e-4)
    assert finding.trust is not None
    assert 0 <= finding.trust <= 1
    assert finding.ood_distance <= 1
    assert min(finding.timings.decode, finding.timings.infer, finding.timings.render) > 0
    assert result.view.probability == finding.probability


def test_forced_body_part_changes_the_calibration_only(pipeline: Pipeline) -> None:
    data = encoded(checkered(255), "PNG")
    free, forced = pipeline.analyse(data).finding, pipeline.analyse(data, forced_body_part="wrist").finding
    assert forced.probability == pytest.approx(expected_probability(0.5, 0, 0.25), abs=1e-4)
    assert forced.body_parts == free.body_parts
    with pytest.raises(ValueError, match="'skull'"):
        pipeline.analyse(data, forced_body_part="skull")


def test_thresholds_of_the_call_win(pipeline: Pipeline) -> None:
    data = encoded(checkered(255), "PNG")
    assert pipeline.analyse(data, thresholds=(0.9, 0.95)).finding.verdict == "normal"


@pytest.mark.parametrize(
    ("body_part", "network"), [("hand", "general"), ("wrist", "wrist"), ("ankle", "general")]
)
def test_experts_answer_for_their_body_parts(experts: Pipeline, body_part: str, network: str) -> None:
    finding = experts.analyse(encoded(checkered(255), "PNG"), forced_body_part=body_part).finding
    offset = 0.25 if body_part == "wrist" else 0.0
    expected = expected_probability(0.5, BIASES[network], offset)
    assert finding.probability == pytest.approx(expected, abs=1e-4)
    assert finding.map is not None


def test_a_batch_of_several_experts_keeps_its_order(experts: Pipeline) -> None:
    # From dark to bright: hand, then ankle, then wrist.
    rng = np.random.default_rng(5)
    pictures = [
        np.clip(rng.normal(mean, 60, (128, 128)), 0, 255).astype(np.uint8) for mean in (60, 200, 128, 230, 40)
    ]
    files = [encoded(picture, "PNG") for picture in pictures]
    together = experts.analyse_many(files)
    for data, result in zip(files, together, strict=True):
        assert isinstance(result, Result)
        alone = experts.analyse(data)
        assert result.sha256 == alone.sha256
        assert result.finding.probability == pytest.approx(alone.finding.probability, abs=1e-5)
        assert result.finding.peak == alone.finding.peak


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        (np.zeros((1, 1), np.uint8), "one pixel"),
        (np.full((200, 200), 90, np.uint8), "blank"),
        (np.dstack([checkered(255), checkered(255), checkered(60)]), "colour"),
    ],
)
def test_out_of_distribution_has_no_verdict_but_files(
    pipeline: Pipeline, picture: NDArray[np.uint8], why: str
) -> None:
    result = pipeline.analyse(encoded(picture, "PNG"))
    finding = result.finding
    assert finding.verdict == "unsupported", why
    assert finding.ood_distance > 1
    assert (finding.probability, finding.peak, finding.trust, finding.map) == (None, None, None, None)
    assert result.rendered.overlay is None
    assert result.rendered.display
    assert result.rendered.thumbnail


def test_one_bad_file_spoils_no_other(pipeline: Pipeline) -> None:
    good = encoded(checkered(255), "PNG")
    files = [good] * (BATCH + 3)
    files[1], files[BATCH] = b"", good[:-20]
    results = pipeline.analyse_many(files)
    assert len(results) == len(files)
    for index, result in enumerate(results):
        if index in (1, BATCH):
            assert isinstance(result, UnreadableError)
        else:
            assert isinstance(result, Result)
            assert result.finding.verdict == "abnormal"
    assert pipeline.analyse_many([]) == []
    assert isinstance(pipeline.analyse_many([b""])[0], UnreadableError)
    with pytest.raises(UnreadableError):
        pipeline.analyse(b"")


@pytest.mark.parametrize("shape", [(2, 900), (900, 2), (1, 31999), (5, 5)])
def test_extreme_shapes_are_analysed(pipeline: Pipeline, shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(4).integers(0, 256, shape, dtype=np.uint8)
    finding = pipeline.analyse(encoded(picture, "PNG")).finding
    assert (finding.height, finding.width) == shape
    if finding.peak is not None:
        assert 0 <= finding.peak[0] < shape[1]
        assert 0 <= finding.peak[1] < shape[0]
