"""``crossvalidate`` on a small made-up data set: stopped, taken up again, finished; the test split unread."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.training.conftest import few_graphs, outputs_of
from training.__main__ import main
from training.datasets import table
from training.evaluation import crossvalidate
from training.evaluation.out_of_fold import read_outputs
from training.learning import checkpoint
from training.learning.configuration import read_config
from training.learning.fit import build
from training.learning.splits import cross_folds
from training.learning.teacher import ANSWERS, MAPS

# Keras 3.15 writes its variables in a way that NumPy 2 warns about.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.usefixtures("shallow"),
    pytest.mark.timeout(900),  # tracing the training graph is slow on a busy machine
]

CONFIG = """
size = 64
epochs = 2
epoch_steps = 2
batch = 8
warmup = 2
calibration = 0.2
drop_path = 0.2
[augmentation]
cutmix = 0.5
erase = 0.5
noise = 4.0
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "bones.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def sealed(bones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up bones, with test pictures that nobody can read."""
    folder = tmp_path_factory.mktemp("sealed")
    for record in table.read(bones).records:
        content = record.path.read_bytes() if record.split == "train" else b"sealed"
        (folder / record.path.name).write_bytes(content)
    (folder / "bones.csv").write_bytes(bones.read_bytes())
    return folder / "bones.csv"


@pytest.fixture(scope="module")
def teacher(bones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    records = table.read(bones).split("train")
    lines = [f"{record.id},{0.9 if record.abnormal else 0.1}" for record in records]
    (folder / ANSWERS).write_text("\n".join(["image_id,teacher_probability", *lines]) + "\n")
    maps = np.full((len(records), 4, 4), 0.1, np.float32)
    np.savez(folder / MAPS, image_id=np.array([record.id for record in records]), probability=maps)
    return folder


@pytest.fixture(scope="module")
def runs(
    shallow: None, sealed: Path, teacher: Path, config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished cross-validation that was stopped in the second epoch of its second fold."""
    folder = tmp_path_factory.mktemp("runs")
    epochs: list[int] = []

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            epochs.append(epoch)
            if len(epochs) == 4:
                raise KeyboardInterrupt

    fit = keras.Model.fit
    with pytest.MonkeyPatch.context() as patch, few_graphs(1):
        patch.setattr(
            keras.Model,
            "fit",
            lambda self, *args, **named: fit(
                self, *args, **{**named, "callbacks": [*named["callbacks"], Stop()]}
            ),
        )
        assert main(_command(config, sealed, folder, teacher)) == 130
        done = folder / crossvalidate.FOLDER / "bones"
        assert [path.parent.name for path in done.glob("*/answers.npz")] == ["fold-0"]
        assert json.loads((done / "fold-1" / checkpoint.PROGRESS).read_text())["epochs"] == 1
        assert main(_command(config, sealed, folder, teacher)) == 0
    assert epochs == [0, 1, 0, 1, 1, *[0, 1] * 3], "each fold goes on where it stopped"
    return folder


def _command(config: Path, data: Path, runs: Path, teacher: Path) -> list[str]:
    named = ["--config", str(config), "--data", str(data), "--runs", str(runs), "--teacher", str(teacher)]
    return ["crossvalidate", *named]


@pytest.mark.slow
def test_every_training_picture_is_answered_once(runs: Path, sealed: Path, config: Path) -> None:
    data = table.read(sealed)
    records = data.split("train")
    folder = runs / crossvalidate.FOLDER / "bones"
    outputs = read_outputs(folder / "out_of_fold.npz", records)
    assert outputs.logit.shape == (72,)
    assert outputs.map.shape == (72, 4, 4)
    assert outputs.embedding.shape == (72, 64)
    np.testing.assert_allclose(outputs.body_part.sum(axis=1), 1, atol=1e-5)
    with np.load(folder / "out_of_fold.npz") as arrays:
        fold, body_parts = arrays["fold"], arrays["body_parts"].tolist()
    assert body_parts == ["hand", "wrist"]
    folds = cross_folds(data, read_config(config))
    for number, held in enumerate(folds):
        assert {records[row].id for row in np.flatnonzero(fold == number)} == {record.id for record in held}
        alone = read_outputs(folder / f"fold-{number}" / "answers.npz", held)
        rows = [records.index(record) for record in held]
        np.testing.assert_array_equal(outputs.logit[rows], alone.logit)
        np.testing.assert_array_equal(outputs.map[rows], alone.map)
    figures = json.loads((folder / "summary.json").read_text())
    assert figures["all"]["pictures"] == 72
    assert figures["all"]["auc"]["low"] <= figures["all"]["auc"]["value"] <= figures["all"]["auc"]["high"]
    assert set(figures["body_parts"]) == {"hand", "wrist"}
    assert "| fold 4 |" in (folder / "summary.md").read_text()
    assert len((folder / "out_of_fold.csv").read_text().splitlines()) == 73


@pytest.mark.slow
def test_the_answers_are_the_averaged_networks(runs: Path, sealed: Path, config: Path) -> None:
    """Those that ship, with nothing dropped."""
    from inference_worker.preprocess import as_batch
    from inference_worker.runtimes.outputs import outputs
    from training.datasets.squares import load

    data = table.read(sealed)
    held = cross_folds(data, read_config(config))[2]
    folder = runs / crossvalidate.FOLDER / "bones" / "fold-2"
    network = build(read_config(config), data.body_parts)
    network.load_weights(folder / checkpoint.AVERAGE)
    pixels = load(held, 64, runs / "cache").pixels
    expected = outputs(outputs_of(network, as_batch(pixels)), len(held))
    answers = read_outputs(folder / "answers.npz", held)
    for field in fields(expected):
        left, right = getattr(answers, field.name), getattr(expected, field.name)
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5, err_msg=field.name)


@pytest.mark.slow
def test_what_is_finished_is_not_done_again(
    runs: Path, sealed: Path, teacher: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = runs / crossvalidate.FOLDER / "bones" / "summary.json"
    before = summary.read_text()
    summary.unlink()
    monkeypatch.setattr(keras.Model, "fit", None)
    assert main(_command(config, sealed, runs, teacher)) == 0
    assert summary.read_text() == before


@pytest.mark.slow
def test_another_teacher_or_configuration_is_refused(
    runs: Path, sealed: Path, teacher: Path, config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    without = _command(config, sealed, runs, teacher)[:-2]
    assert main(without) == 1
    assert "another teacher, or with none" in caplog.text
    config.with_name("other").mkdir()
    changed = config.with_name("other") / "bones.toml"
    changed.write_text(CONFIG.replace("epochs = 2", "epochs = 3"))
    caplog.clear()
    assert main(_command(changed, sealed, runs, teacher)) == 1
    assert "another configuration" in caplog.text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('start = "lite0-320"', "has seen pictures of every fold"),
        ('role = "abnormality"', "one unified network"),
        ('only = ["hand"]', "one unified network"),
    ],
)
def test_what_cannot_be_cross_validated(
    line: str, words: str, bones: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "c.toml").write_text(line)
    common = ["--data", str(bones), "--runs", str(tmp_path)]
    assert main(["crossvalidate", "--config", str(tmp_path / "c.toml"), *common]) == 1
    assert words in caplog.text
