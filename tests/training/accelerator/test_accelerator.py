"""The recipe in PyTorch: Keras' network, and a file that ``adopt`` takes in. Skipped without PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference_worker.preprocess import as_batch
from tests.training.conftest import outputs_of
from training.__main__ import main
from training.datasets import table
from training.datasets.squares import load
from training.learning.augment import Augmentation

torch = pytest.importorskip("torch", reason="PyTorch is in no list of requirements")

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]
CONFIG = """
size = 64
epochs = 1
epoch_steps = 1
batch = 8
warmup = 2
calibration = 0.2
[augmentation]
cutmix = 0.5
"""


def test_both_libraries_answer_alike() -> None:
    from training.accelerator.network import LITE0, Unified, keras_arrays
    from training.network.unified import unified

    torch.manual_seed(1)
    there = Unified(LITE0, 3, 0.2, 0.1).eval()
    arrays = keras_arrays(there)
    here = unified(64, 3, drop_path=0.1)
    for layer in here.layers:
        for variable in layer.weights:
            if "seed" not in variable.path:
                variable.assign(arrays.pop(f"{layer.name}/{variable.name}"))
    assert not arrays
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 64)).astype(np.uint8)
    expected = outputs_of(here, as_batch(pictures))
    with torch.no_grad():
        part, logit, evidence, embedding = there(torch.from_numpy(pictures).float()[:, None])
    answers = {"part": part.softmax(1), "logit": logit, "map": evidence, "embedding": embedding}
    for name, actual in answers.items():
        np.testing.assert_allclose(actual.numpy(), expected[name], rtol=1e-3, atol=1e-3, err_msg=name)


def test_targets_follow_the_picture(bones: Path, tmp_path: Path) -> None:
    """Unmoved, the target is the box; moved, target and picture move together."""
    from training.accelerator.batches import Pictures

    records = table.read(bones).split("train")
    pictures = Pictures(records, load(records, 64, tmp_path), ("hand", "wrist"), torch.device("cpu"), 5.0)
    still = Augmentation(rotation=0, zoom=0, shift=0, contrast=0, flips=False)
    rows = torch.arange(len(records))
    batch = pictures.batch(rows, still, 0.0)
    np.testing.assert_allclose(batch.pictures[:, 0].numpy(), pictures.pixels.numpy(), atol=0.02)
    abnormal = np.array([record.abnormal for record in records])
    assert (batch.target.amax((1, 2)).numpy() > 0.99).tolist() == abnormal.tolist()
    assert batch.verdict.tolist() == abnormal.tolist()
    flipped = pictures.batch(rows, Augmentation(rotation=0, zoom=0, shift=0, contrast=0), 0.0)
    for row in np.flatnonzero(abnormal):
        kinds = [(), (1,), (2,), (1, 2)]
        same = [
            torch.allclose(batch.pictures[row].flip(kind), flipped.pictures[row], atol=0.05) for kind in kinds
        ]
        kind = kinds[same.index(True)]
        moved = batch.target[row].flip([side - 1 for side in kind])
        np.testing.assert_allclose(moved.numpy(), flipped.target[row].numpy(), atol=1e-5)


def test_the_result_is_taken_in(bones: Path, tmp_path: Path) -> None:
    from training.accelerator.__main__ import main as accelerate
    from training.accelerator.network import LITE0, Unified, keras_arrays, scaled

    (tmp_path / "many.toml").write_text(CONFIG)
    (tmp_path / "final.toml").write_text('held_groups = ["g0", "g1"]\n' + CONFIG)
    for name, stages in (("lite0", LITE0), ("lite2", scaled(1.1, 1.2))):
        np.savez(tmp_path / f"{name}.npz", **keras_arrays(Unified(stages, 2, 0.2, 0.0)))
    common = ["--data", str(bones), "--runs", str(tmp_path / "runs")]
    named = ["--folds", str(tmp_path / "many.toml"), "--final", str(tmp_path / "final.toml")]
    weights = ["--weights", str(tmp_path / "lite0.npz"), "--larger", str(tmp_path / "lite2.npz")]
    small = ["--larger-size", "64", "--larger-steps", "1", "--out", str(tmp_path / "result.npz")]
    assert accelerate([*common, *named, *weights, *small]) == 0
    assert main(["adopt", str(tmp_path / "result.npz"), *common, *named]) == 0
    assert (tmp_path / "runs" / "final" / "average.weights.h5").is_file()
    assert (tmp_path / "runs" / "crossvalidation" / "many" / "summary.json").is_file()
