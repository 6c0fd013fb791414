"""OpenVINO and TensorFlow give the same answers, and neither brings what it should not."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from inference_worker import runtimes
from inference_worker.bundle import MODELS, Bundle
from inference_worker.runtimes import load_runtimes
from inference_worker.runtimes.precision import fastest, probes
from inference_worker.types import Outputs
from tests.inference_worker.conftest import ROOT

#: What f32 on two libraries may differ by, relative to one (docs/bundle.md's outputs are of that order).
TOLERANCE = 1e-3

RELEASED = sorted(path.parent for path in MODELS.glob("*/manifest.json"))

#: Run apart, so that the tests' own process stays free of TensorFlow; once, for that is slow to load.
COMPARE = """
import json, sys
from pathlib import Path
import numpy as np
from inference_worker.bundle import Bundle
from inference_worker.runtimes import load_runtimes

def differences(folder):
    bundle = Bundle.load(folder)
    size = bundle.manifest.input.size
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (3, size // 8, size // 8, 1)).repeat(8, 1).repeat(8, 2)
    batch = smooth[:, :size, :size].astype(np.float32)
    batch = np.pad(batch, ((0, 0), (0, size - batch.shape[1]), (0, size - batch.shape[2]), (0, 0)))
    ours, theirs = (load_runtimes(bundle, name, threads=1) for name in ("openvino", "tensorflow"))
    worst = {}
    for network in ours:
        for pictures in (batch, batch[:1]):
            left, right = ours[network].infer(pictures), theirs[network].infer(pictures)
            for name in ("body_part", "logit", "map", "embedding"):
                a, b = getattr(left, name), getattr(right, name)
                assert a.shape == b.shape, (network, name, a.shape, b.shape)
                assert a.dtype == b.dtype == np.float32
                if a.size:
                    away = float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))
                    worst[f"{network}.{name}"] = max(worst.get(f"{network}.{name}", 0.0), away)
    return worst

print(json.dumps({folder: differences(Path(folder)) for folder in sys.argv[1:]}))
"""


@pytest.fixture(scope="module")
def differences(bundles: Path) -> dict[str, dict[str, float]]:
    """By folder, and by network and output: how far the two runtimes are apart."""
    folders = [bundles / "unified", bundles / "experts", *RELEASED]
    run = subprocess.run(
        [sys.executable, "-c", COMPARE, *map(str, folders)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    gaps: dict[str, dict[str, float]] = json.loads(run.stdout.splitlines()[-1])
    return gaps


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unified", "experts"])
def test_runtimes_agree_on_the_tiny_bundles(
    bundles: Path, differences: dict[str, dict[str, float]], name: str
) -> None:
    gaps = differences[str(bundles / name)]
    assert gaps
    assert max(gaps.values()) <= TOLERANCE, gaps


@pytest.mark.slow
@pytest.mark.parametrize("folder", RELEASED, ids=lambda folder: folder.name)
def test_runtimes_agree_on_the_released_bundles(
    differences: dict[str, dict[str, float]], folder: Path
) -> None:
    gaps = differences[str(folder)]
    assert set(gaps) >= {"unified.body_part", "unified.logit", "unified.map", "unified.embedding"}
    assert max(gaps.values()) <= TOLERANCE, gaps


def test_a_batch_gives_what_its_pictures_give_alone(bundles: Path) -> None:
    runtime = load_runtimes(Bundle.load(bundles / "unified"), threads=1)["unified"]
    batch = np.random.default_rng(1).uniform(0, 255, (5, 128, 128, 1)).astype(np.float32)
    together = runtime.infer(batch)
    for index in range(len(batch)):
        alone = runtime.infer(batch[index : index + 1])
        assert np.allclose(together.map[index], alone.map[0], atol=1e-4)
        assert together.logit[index] == pytest.approx(alone.logit[0], abs=1e-4)


def test_answers_are_copies(bundles: Path) -> None:
    runtime = load_runtimes(Bundle.load(bundles / "unified"), threads=1)["unified"]
    first = runtime.infer(np.zeros((1, 128, 128, 1), np.float32))
    before = first.map.copy()
    runtime.infer(np.full((1, 128, 128, 1), 255, np.float32))
    assert np.array_equal(first.map, before)


def test_passes_side_by_side_give_what_each_gives_alone(bundles: Path) -> None:
    runtime = load_runtimes(Bundle.load(bundles / "unified"), threads=2)["unified"]
    assert runtime.at_once == 2
    pictures = np.random.default_rng(2).uniform(0, 255, (8, 1, 128, 128, 1)).astype(np.float32)
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda picture: runtime.infer(picture, is_alone=False), pictures))
    for picture, answer in zip(pictures, beside, strict=True):
        alone = runtime.infer(picture)
        assert np.allclose(answer.map, alone.map, atol=1e-4)
        assert answer.logit[0] == pytest.approx(alone.logit[0], abs=1e-4)
    assert load_runtimes(Bundle.load(bundles / "unified"), threads=1)["unified"].at_once == 1


def test_precision_is_what_was_asked_for(bundles: Path) -> None:
    bundle = Bundle.load(bundles / "unified")
    runtime = load_runtimes(bundle)["unified"]
    assert (runtime.name, runtime.precision) == ("openvino", "f32")
    assert runtime.version
    with pytest.raises(ValueError, match="f64"):
        load_runtimes(bundle, precision="f64")


def test_bf16_runs_where_the_processor_has_it_and_answers_alike(
    bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.load(bundles / "unified")
    for capable, expected in ((True, "bf16"), (False, "f32")):
        monkeypatch.setattr(runtimes, "_has_bf16", lambda capable=capable: capable)
        assert load_runtimes(bundle, precision="auto", threads=1)["unified"].precision == expected


@pytest.mark.parametrize("wrong", [3.0, float("nan")])
def test_bf16_that_answers_otherwise_is_not_used(wrong: float, caplog: pytest.LogCaptureFixture) -> None:
    """As an early processor or a faulty library might."""

    class Network:
        name, version, at_once = "made up", "1", 1

        def __init__(self, precision: str) -> None:
            self.precision = precision

        def infer(self, batch: np.ndarray, *, is_alone: bool = True) -> Outputs:
            logit = np.full(len(batch), 0.0 if self.precision == "f32" else wrong, np.float32)
            return Outputs(
                np.ones((len(batch), 1)), logit, np.zeros((len(batch), 4, 4)), np.zeros((len(batch), 1))
            )

    assert fastest(Network, 64).precision == "f32"
    assert "The network runs in f32" in caplog.text


def test_probes_are_pictures_that_differ() -> None:
    pictures = probes(64)
    assert {picture.shape for picture in pictures} == {(1, 64, 64, 1)}
    assert all(picture.min() >= 0 and picture.max() <= 255 for picture in pictures)
    assert not np.allclose(pictures[0], pictures[1])
