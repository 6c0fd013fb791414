"""``adopt``: answers and a network from another machine become what ``crossvalidate`` and ``train`` leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_worker.bundle import Bundle
from inference_worker.preprocess import as_batch
from tests.training.conftest import outputs_of
from training.__main__ import main
from training.datasets import table
from training.datasets.squares import load
from training.learning.configuration import read_config
from training.learning.fit import build
from training.learning.splits import cross_folds

# Keras 3.15 writes its variables in a way that NumPy 2 warns about.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.usefixtures("shallow"),
    pytest.mark.slow,
]

CONFIG = "size = 64\nepochs = 2\nepoch_steps = 2\nbatch = 8\ncalibration = 0.2\n"


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("configs")
    (folder / "many.toml").write_text(CONFIG)
    (folder / "final.toml").write_text('held_groups = ["g0", "g1"]\n' + CONFIG)
    return folder / "many.toml", folder / "final.toml"


@pytest.fixture(scope="module")
def result(
    shallow: None, bones: Path, configs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """A result as ``training.accelerator`` writes it, of a network that has learnt nothing.

    Its out-of-fold answers are made up: right for the most part.
    """
    folds, final = (read_config(path) for path in configs)
    dataset = table.read(bones)
    records = dataset.split("train")
    number = {record.id: fold for fold, held in enumerate(cross_folds(dataset, folds)) for record in held}
    network = build(final, dataset.body_parts)
    squares = load(records, 64, tmp_path_factory.mktemp("cache")).pixels
    generator = np.random.default_rng(2)
    abnormal = np.array([record.abnormal for record in records])
    answer = outputs_of(network, as_batch(squares[:8]))
    return {
        "image_id": np.array([record.id for record in records]),
        "fold": np.array([number[record.id] for record in records]),
        "logit": (3.0 * abnormal - 1.5 + generator.normal(0, 1, len(records))).astype(np.float32),
        "part": np.array([[record.body_part == name for name in dataset.body_parts] for record in records]),
        "map": generator.normal(1, 2, (len(records), 4, 4)).astype(np.float16),
        "start": np.array("lite0.npz"),
        "teacher": np.array(""),
        "probe/pictures": squares[:8],
        "probe/logit": answer["logit"],
        **{
            f"weights/{layer.name}/{variable.name}": np.array(variable)
            for layer in network.layers
            for variable in layer.weights
        },
    }


def _adopt(path: Path, bones: Path, configs: tuple[Path, Path], runs: Path) -> int:
    folds, final = map(str, configs)
    named = ["--folds", folds, "--final", final, "--data", str(bones), "--runs", str(runs)]
    return main(["adopt", str(path), *named])


def test_a_result_becomes_a_bundle(
    result: dict[str, Any], bones: Path, configs: tuple[Path, Path], tmp_path: Path
) -> None:
    """Calibrated by the answers of all folds; the test split then says what each answer was worth."""
    np.savez(tmp_path / "result.npz", **result)
    runs, bundle = tmp_path / "runs", tmp_path / "bones"
    assert _adopt(tmp_path / "result.npz", bones, configs, runs) == 0
    common = ["--data", str(bones), "--runs", str(runs)]
    folds = ["--folds", str(runs / "crossvalidation" / "many")]
    named = ["--config", str(configs[1]), "--bundle", str(bundle)]
    assert main(["export", *common, *named, *folds, "--version", "1"]) == 0
    manifest = Bundle.load(bundle).manifest
    assert manifest.data["calibrated_on"] == len(result["logit"])
    assert manifest.data["aligned_on"] == 8, "the two groups that the network has not seen"
    assert set(manifest.body_part_reliability) == {"hand", "wrist"}
    assert manifest.location is not None
    assert manifest.thresholds.even is not None
    before = json.loads((bundle / "manifest.json").read_text())["calibration"]
    assert main(["calibrate", *common, *named, *folds]) == 0
    assert json.loads((bundle / "manifest.json").read_text())["calibration"] == before
    out = ["--bundle", str(bundle), "--out", str(runs / "evaluation"), "--card"]
    assert main(["evaluate", *common, *out]) == 0
    rates = Bundle.load(bundle).manifest.rates
    assert rates is not None
    assert rates.measured_on == "the test split of bones"
    card = (bundle / "card.md").read_text()
    for words in ("out-of-fold answers to 72", "| hand |", "| towards normal |"):
        assert words in card


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_id": np.array(["x"])}, "other training pictures"),
        ({"fold": np.zeros(72, int)}, "other folds"),
        ({"weights/logit/bias": np.zeros(3)}, "nothing that fits logit/bias"),
        ({"probe/logit": np.full(8, 9.0)}, "answers otherwise here"),
    ],
)
def test_what_is_not_that_result_is_one_sentence(
    change: dict[str, Any], words: str, result: dict[str, Any], bones: Path, configs: tuple[Path, Path],
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    np.savez(tmp_path / "result.npz", **(result | change))
    assert _adopt(tmp_path / "result.npz", bones, configs, tmp_path / "runs") == 1
    assert words in caplog.text
    assert not (tmp_path / "runs" / "final").exists()


def test_no_result_at_all(
    bones: Path, configs: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for content in (b"", b"no file of arrays"):
        (tmp_path / "result.npz").write_bytes(content)
        caplog.clear()
        assert _adopt(tmp_path / "result.npz", bones, configs, tmp_path / "runs") == 1
        assert "no result of training.accelerator" in caplog.text
