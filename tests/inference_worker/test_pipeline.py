"""The whole way with bundles whose answers can be worked out by hand (`tests.inference_worker.tiny`)."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inference_worker.bundle import Bundle
from inference_worker.decode.isolated import DecodeProcess
from inference_worker.manifest import Hits, Location, Reliability
from inference_worker.pipeline import Job, Pipeline, Result
from inference_worker.runtimes import load_runtimes
from inference_worker.types import BODY_PART_NOT_JUDGED, UnreadableError
from tests.inference_worker.drawing import encoded
from tests.inference_worker.tiny import BIASES
from tests.waiting import PATIENCE


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


def test_many_files_for_several_experts_keep_their_order(experts: Pipeline) -> None:
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


def test_the_next_file_is_fetched_and_decoded_while_a_picture_is_in_its_pass(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pass of the first picture lasts until the second one was decoded."""
    decoded, infer, order = threading.Event(), Pipeline._infer, []

    def patient(self: Pipeline, *arguments: Any) -> Any:
        assert decoded.wait(PATIENCE)
        return infer(self, *arguments)

    def jobs() -> Iterator[Job]:
        for number in range(3):
            order.append(f"fetched {number}")
            yield Job(encoded(checkered(255), "PNG"))

    def decode_second(*arguments: Any) -> Any:
        picture = decode(*arguments)
        if "fetched 1" in order:
            decoded.set()
        return picture

    decode = Pipeline._decoded
    monkeypatch.setattr(Pipeline, "_infer", patient)
    monkeypatch.setattr(Pipeline, "_decoded", decode_second)
    for number, outcome in enumerate(pipeline.outcomes(jobs())):
        assert isinstance(outcome, Result)
        order.append(f"took {number}")
    assert order == ["fetched 0", "fetched 1", "fetched 2", "took 0", "took 1", "took 2"]


def test_a_caller_that_goes_away_leaves_no_picture_behind(bundles: Path) -> None:
    bundle = Bundle.load(bundles / "unified")
    bright, dark = (encoded(checkered(value), "PNG") for value in (255, 60))
    with DecodeProcess() as child:
        pipeline = Pipeline(bundle, load_runtimes(bundle, threads=1), decoder=child)
        outcomes = pipeline.outcomes([Job(bright), Job(bright), Job(bright), Job(bright)])
        assert isinstance(next(outcomes), Result)
        outcomes.close()
        assert pipeline.analyse(dark).radiograph.pixels.max() == 60


def test_one_bad_file_spoils_no_other(pipeline: Pipeline) -> None:
    good = encoded(checkered(255), "PNG")
    files = [good] * 6
    files[1], files[4] = b"", good[:-20]
    results = pipeline.analyse_many(files)
    assert len(results) == len(files)
    for index, result in enumerate(results):
        if index in (1, 4):
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


def measured(pipeline: Pipeline, **changes: Any) -> Pipeline:
    """The pipeline's networks with another manifest."""
    bundle = replace(pipeline.bundle, manifest=replace(pipeline.manifest, **changes))
    return Pipeline(bundle, pipeline._runtimes)


def test_a_body_part_that_is_not_judged_has_no_probability_and_no_heatmap(pipeline: Pipeline) -> None:
    reliability = {label: Reliability(300, 100, None, judged=label != "ankle") for label in ("hand", "ankle")}
    unsure = measured(pipeline, body_part_reliability=reliability)
    ankle = encoded(checkered(255), "PNG")
    result = unsure.analyse(ankle)
    finding = result.finding
    assert (finding.verdict, finding.reason) == ("uncertain", BODY_PART_NOT_JUDGED)
    assert (finding.probability, finding.peak, finding.trust, finding.map) == (None, None, None, None)
    assert (finding.leaning, finding.location) == (None, None)
    assert result.rendered.overlay is None
    assert result.rendered.display
    # The study's views together decide, so what the picture says stays at hand for them.
    assert result.view.probability == pytest.approx(expected_probability(0.5, 0, 0), abs=1e-4)
    (view,) = unsure.outcomes([Job(ankle)])
    assert isinstance(view, Result)
    assert (view.finding.verdict, view.finding.reason) == ("abnormal", "")
    assert view.rendered.overlay is not None
    # Another body part than the predicted one counts, both ways.
    assert unsure.analyse(ankle, forced_body_part="hand").finding.verdict == "abnormal"
    wrist = encoded(checkered(255) // 4 * 3 + 60, "PNG")
    assert unsure.analyse(wrist, forced_body_part="ankle").finding.reason == BODY_PART_NOT_JUDGED
    # Out of distribution comes first.
    blank = encoded(np.full((200, 200), 90, np.uint8), "PNG")
    beyond = unsure.analyse(blank, forced_body_part="ankle").finding
    assert (beyond.verdict, beyond.reason) == ("unsupported", "")


@pytest.mark.parametrize(
    ("limits", "band"), [((1.5, 2.0), "none"), ((0.5, 2.0), "weak"), ((0.0, 0.9), "strong")]
)
def test_the_peak_stands_out_or_nothing_is_drawn(
    pipeline: Pipeline, limits: tuple[float, float], band: str
) -> None:
    location = Location(*limits, none=Hits(20, 6), weak=Hits(120, 70), strong=Hits(340, 300))
    result = measured(pipeline, location=location).analyse(encoded(checkered(255), "PNG"))
    finding = result.finding
    assert finding.location == band
    assert finding.map is not None  # its highest value is 1
    assert (finding.peak is None) == (result.rendered.overlay is None) == (band == "none")


def test_an_uncertain_picture_leans(pipeline: Pipeline) -> None:
    thresholds = replace(pipeline.manifest.thresholds, low=0.1, high=0.95, even=0.5)
    leaning = measured(pipeline, thresholds=thresholds, trust=None)
    finding = leaning.analyse(encoded(checkered(255), "PNG")).finding
    assert finding.probability == pytest.approx(0.82, abs=0.01)
    assert (finding.verdict, finding.leaning, finding.trust) == ("uncertain", "towards_abnormal", None)
    higher = measured(leaning, thresholds=replace(thresholds, even=0.9))
    assert higher.analyse(encoded(checkered(255), "PNG")).finding.leaning == "towards_normal"
