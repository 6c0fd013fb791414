"""OpenVINO and TensorFlow give the same answers, and neither brings what it should not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inference_worker.bundle import MODELS, Bundle
from inference_worker.runtimes import load_runtimes
from tests.inference_worker.conftest import ROOT

#: What f32 on two libraries may differ by, relative to one (docs/bundle.md's outputs are of that order).
TOLERANCE = 1e-3

#: Run apart, so that the tests' own process stays free of TensorFlow.
COMPARE = """
import json, sys
from pathlib import Path
import numpy as np
from inference_worker.bundle import Bundle
from inference_worker.runtimes import load_runtimes

bundle = Bundle.load(Path(sys.argv[1]))
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
print(json.dumps(worst))
"""


def differences(folder: Path) -> dict[str, float]:
    run = subprocess.run(
        [sys.executable, "-c", COMPARE, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    gaps: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return gaps


@pytest.mark.parametrize("name", ["unified", "experts"])
def test_runtimes_agree_on_the_tiny_bundles(bundles: Path, name: str) -> None:
    gaps = differences(bundles / name)
    assert gaps
    assert max(gaps.values()) <= TOLERANCE, gaps


@pytest.mark.slow
@pytest.mark.parametrize("folder", sorted(path.parent for path in MODELS.glob("*/manifest.json")), ids=str)
def test_runtimes_agree_on_the_released_bundles(folder: Path) -> None:
    gaps = differences(folder)
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


def test_precision_is_what_was_asked_for(bundles: Path) -> None:
    bundle = Bundle.load(bundles / "unified")
    runtime = load_runtimes(bundle)["unified"]
    assert (runtime.name, runtime.precision) == ("openvino", "f32")
    assert runtime.version
    with pytest.raises(ValueError, match="f64"):
        load_runtimes(bundle, precision="f64")
