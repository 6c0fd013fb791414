"""The whole way on a small made-up data set: train, stop, go on, export, read, evaluate, card."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import keras
import numpy as np
import pytest

from inference_worker.bundle import Bundle
from inference_worker.preprocess import as_batch
from inference_worker.runtimes import load_runtimes
from inference_worker.runtimes.outputs import outputs
from tests.training.conftest import outputs_of
from training.__main__ import main
from training.datasets import table
from training.datasets.record import DatasetError
from training.datasets.squares import load
from training.evaluation.explain import CASCADE
from training.learning import checkpoint
from training.learning.configuration import Config, read_config
from training.learning.fit import build
from training.learning.train import train
from training.network.graphs import run_openvino
from training.release import quantise

# Keras 3.15 writes its variables in a way that NumPy 2 warns about.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.usefixtures("shallow"),
    pytest.mark.timeout(900),  # tracing the training graph is slow on a busy machine
]

CONFIG = """
size = 64
epochs = 2
batch = 8
warmup = 2
calibration = 0.3
[augmentation]
rotation = 5.0
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "bones.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def runs(shallow: None, bones: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that was stopped with Ctrl-C in its second epoch and taken up again."""
    folder = tmp_path_factory.mktemp("runs")

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    fit = keras.Model.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            keras.Model,
            "fit",
            lambda self, *args, **named: fit(
                self, *args, **{**named, "callbacks": [*named["callbacks"], Stop()]}
            ),
        )
        arguments = ["train", "--config", str(config), "--data", str(bones), "--runs", str(folder)]
        assert main(arguments) == 130
    assert json.loads((folder / "bones" / checkpoint.PROGRESS).read_text())["epochs"] == 1
    assert main(arguments) == 0
    assert json.loads((folder / "bones" / checkpoint.PROGRESS).read_text())["epochs"] == 2
    return folder


@pytest.fixture(scope="module")
def bundle(runs: Path, bones: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bones"
    common = ["--data", str(bones), "--runs", str(runs)]
    named = ["--config", str(config), "--bundle", str(folder)]
    assert main(["export", *common, *named, "--version", "1"]) == 0
    out = ["--out", str(runs / "evaluation"), "--card"]
    assert main(["evaluate", *common, "--bundle", str(folder), *out]) == 0
    return folder


@pytest.mark.slow
def test_the_bundle_is_whole(bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    manifest = loaded.manifest
    assert manifest.label == "bones@1"
    assert manifest.target.normal == "no abnormality seen"
    assert manifest.body_parts == ("hand", "wrist")
    assert manifest.thresholds.low <= manifest.thresholds.high
    assert "auc" in manifest.metrics
    card = (bundle / "card.md").read_text()
    for words in ("One network (EfficientNet-Lite0)", "- Initial weights: random numbers.", "- Data: bones.",
                  "these parts: hand, wrist.", "taught by boxes on", "the data names no studies",
                  "## If an abnormality is rarer"):  # fmt: skip
        assert words in card
    assert "fractur" not in card.lower()
    assert (bundle / "roc.png").is_file()


@pytest.mark.slow
def test_keras_and_openvino_agree(bundle: Path, bones: Path) -> None:
    records = table.read(bones).split("test")[:6]
    squares = load(records, 64, bundle.parent / "cache").pixels
    released = keras.saving.load_model(bundle / "network.keras", compile=False)
    expected = outputs(outputs_of(released, as_batch(squares)), len(squares))
    actual = run_openvino(bundle / "network.xml", squares)
    for field in fields(expected):
        left, right = getattr(actual, field.name), getattr(expected, field.name)
        np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-3, err_msg=field.name)


@pytest.mark.slow
def test_the_report_holds_figures_with_intervals(bundle: Path, runs: Path) -> None:
    actual = json.loads((runs / "evaluation" / "figures.json").read_text())
    auc = actual["headline"]["auc"]
    assert auc["low"] <= auc["value"] <= auc["high"]
    assert auc["n"] == 24
    page = (runs / "evaluation" / "report.html").read_text()
    assert "Research use only" in page
    assert "reliability.png" in page
    counted = actual["confusion"]["verdict"]
    assert [sum(row.values()) for row in counted.values()] == [16, 8]
    assert "Classification report: part" in page


@pytest.mark.slow
def test_int8_is_released_only_if_the_fold_does_not_mind(
    runs: Path, bones: Path, config: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    folder = tmp_path / "models" / "small"
    common = ["--data", str(bones), "--runs", str(runs), "--config", str(config)]
    export = ["export", *common, "--bundle", str(folder), "--version", "1", "--int8"]
    monkeypatch.setattr(quantise, "MOST_LOST", -1.0)
    assert main(export) == 1
    assert re.search(r"INT8 is refused: .* AUC falls from 0\.\d+ to 0\.\d+, by more", caplog.text)
    assert not list(folder.parent.iterdir())
    monkeypatch.setattr(quantise, "MOST_LOST", 1.0)
    assert main(export) == 0
    loaded = Bundle.load(folder)
    assert set(loaded.manifest.data["int8"]) == {"auc_f32", "auc_int8", "pictures"}
    assert "FakeQuantize" in (folder / "network.xml").read_text()
    # What the worker asks of a graph, it gives.
    assert load_runtimes(loaded, threads=1)


@pytest.mark.slow
def test_calibrating_anew_gives_the_same_from_the_same_fold(
    bundle: Path, runs: Path, bones: Path, config: Path
) -> None:
    before = json.loads((bundle / "manifest.json").read_text())
    common = ["--data", str(bones), "--runs", str(runs), "--config", str(config), "--bundle", str(bundle)]
    assert main(["calibrate", *common]) == 0
    after = json.loads((bundle / "manifest.json").read_text())
    assert after["thresholds"] == before["thresholds"]
    assert after["metrics"] == {}


@pytest.mark.slow
def test_a_run_is_not_continued_with_another_configuration(runs: Path, bones: Path, config: Path) -> None:
    other = replace(read_config(config), rate=1e-5)
    with pytest.raises(DatasetError, match="another configuration"):
        train(other, table.read(bones), runs, None)


@pytest.mark.slow
def test_a_run_taken_up_again_is_the_run_that_was_never_stopped(
    runs: Path, bones: Path, config: Path, tmp_path: Path
) -> None:
    """Batches, dropout, learning rate, average: all as if nothing had happened."""
    whole = train(read_config(config), table.read(bones), tmp_path, None)
    networks = [build(read_config(config), ("hand", "wrist")) for _ in range(2)]
    for network, run in zip(networks, (whole, runs / "bones"), strict=True):
        network.load_weights(run / checkpoint.AVERAGE)
    for expected, actual in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_data_of_another_fold_are_refused(
    bundle: Path, runs: Path, bones: Path, config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With corrected labels the fold may move, and hold pictures that the network has learnt."""
    lines = bones.read_text().splitlines()
    changed = bones.with_name("changed.csv")
    changed.write_text("\n".join(line for line in lines if ",g1," not in line) + "\n")
    common = ["--data", str(changed), "--runs", str(runs), "--config", str(config)]
    for command, words in (
        (["train", *common], "another calibration fold"),
        (
            ["export", *common, "--bundle", str(tmp_path / "new"), "--version", "2"],
            "another calibration fold",
        ),
        (["calibrate", *common, "--bundle", str(bundle)], "may have been learnt"),
        (["explain", *common, "--bundle", str(bundle)], "may have been learnt"),
    ):
        caplog.clear()
        assert main(command) == 1
        assert words in caplog.text
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_explanations_are_compared_and_stand_in_the_report(
    bundle: Path, runs: Path, bones: Path, config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From a network that has learnt little: the figures mean nothing, but they are all there."""
    common = ["--data", str(bones), "--runs", str(runs), "--bundle", str(bundle)]
    out = ["--limit", "3", "--out", str(tmp_path / "out")]
    assert main(["explain", "--config", str(config), *common, *out]) == 0
    figures = tmp_path / "out" / "explanations.json"
    actual = json.loads(figures.read_text())
    assert actual["pictures"] == 3
    for row in actual["methods"].values():
        assert {"pointing", "energy", "iou", "deletion", "insertion"} <= set(row)
        assert 0 <= row["deletion"]["value"] <= 1
    assert set(actual["shuffled"]) == set(CASCADE)

    # The evaluation's report shows them, and only those of its own bundle.
    evaluate = ["evaluate", *common, "--out", str(tmp_path / "evaluation"), "--explanations", str(figures)]
    assert main(evaluate) == 0
    page = (tmp_path / "evaluation" / "report.html").read_text()
    for method, row in actual["methods"].items():
        assert f"<th>{method}</th><td>{row['pointing']['value']:.3f} (" in page
    assert f"<td>{actual['shuffled']['everything']:.2f}</td>" in page
    kept = json.loads((tmp_path / "evaluation" / "figures.json").read_text())["explanations"]
    assert kept == actual
    for wrong, words in (
        ({**actual, "bundle": "other@1"}, "explains other@1"),
        ({"bundle": "bones@1"}, "no file of figures"),
        ([], "no file of figures"),
    ):
        figures.write_text(json.dumps(wrong))
        caplog.clear()
        assert main(evaluate) == 1
        assert words in caplog.text


@pytest.mark.slow
def test_what_does_not_belong_to_a_bundle_is_one_sentence(
    bundle: Path, runs: Path, bones: Path, config: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "large.toml").write_text(CONFIG.replace("size = 64", "size = 96"))
    knees = bones.with_name("knees.csv")
    knees.write_text(bones.read_text().replace(",hand,", ",knee,"))
    data, at = ["--data", str(bones), "--runs", str(runs)], ["--bundle", str(bundle)]
    same = ["--config", str(config)]
    for command, words in (
        (["evaluate", *data, "--bundle", str(tmp_path)], "is no bundle"),
        (["calibrate", *data, *same, "--bundle", str(tmp_path)], "is no bundle"),
        (
            ["calibrate", *data, *at, "--config", str(tmp_path / "large.toml")],
            "has the size 96, but bones@1 64",
        ),
        (["calibrate", "--data", str(knees), *same, *at], "other parts"),
        (["evaluate", *data, *at, "--split", "train", "--card"], "test split"),
        (["evaluate", "--data", str(knees), *at, "--card"], "not on knees"),
        (["train", *data, "--config", str(tmp_path / "none.toml")], "cannot be read: No such file"),
    ):
        caplog.clear()
        assert main(command) == 1
        assert words in caplog.text
        assert len(caplog.records) == 1


def test_a_loss_that_is_no_number_ends_the_run_before_its_files_change(tmp_path: Path) -> None:
    watcher = checkpoint.Checkpoint(tmp_path, Config("c"), {})
    with pytest.raises(DatasetError, match="no number any more after step 1"):
        watcher.on_train_batch_end(0, {"loss": float("nan")})
