"""What is read before anything is trained: configurations, data sets, and the report about one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT
from training.__main__ import main
from training.datasets.opening import open_dataset
from training.datasets.record import DatasetError
from training.learning.configuration import Config, read_config


def test_exploring_writes_a_report_and_survives_a_broken_picture(bones: Path, tmp_path: Path) -> None:
    lines = bones.read_text().splitlines()
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    for name in ("0.png", "1.png", "2.png"):
        (tmp_path / name).write_bytes((bones.parent / name).read_bytes())
    (tmp_path / "twin.png").write_bytes((bones.parent / "1.png").read_bytes())
    rows = ["broken.png,gb,train,hand,0,,[]", "twin.png,gt,test,hand,1,,[]"]
    (tmp_path / "some.csv").write_text("\n".join([*lines[:4], *rows]) + "\n")
    arguments = ["explore", "--data", str(tmp_path / "some.csv"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    actual = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert len(actual["unreadable"]) == 1
    assert actual["duplicates"] == actual["contradicting_duplicates"] == [["1.png", "twin.png"]]
    assert actual["duplicates_in_both_splits"] == [["1.png", "twin.png"]]
    assert actual["counts"]["train"]["hand"]["pictures"] == 3
    page = (tmp_path / "out" / "report.html").read_text()
    assert "data:image/png" in page
    assert "data:image/jpeg" in page


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("size = 100", "multiple of 32"),
        ("pooling = 'median'", "median"),
        ("learning_rate = 1", "learning_rate"),
        ("size = ", "cannot be read"),
        ("calibration = 2.0", "between 0 and 1"),
        ("batch = '8'", "batch must be a whole number, not '8'"),
        ("patience = true", "patience must be a whole number"),
        ("augmentation = 3", "augmentation must be a table"),
        ("[augmentation]\nflips = 1", "flips must be true or false"),
        ("only = 'wrist'", "only must be a list"),
        ("batch = 1", "no room for normal pictures"),
        ("average = 1.0", "below 1"),
        ("drop_path = -0.1", "drop_path must be"),
        ("backbone = 'densenet169'\ndrop_path = 0.1", "for the backbone lite0"),
        ("teacher_share = 2", "teacher_share"),
        ("class_weights = true\nabnormal_share = 0\n[augmentation]\ncutmix = 0.5", "do not go together"),
        ("epoch_steps = -1", "epoch_steps 0 or more"),
    ],
)
def test_an_impossible_configuration_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(DatasetError, match=words):
        read_config(tmp_path / "c.toml")


def test_the_shipped_configurations_are_sound() -> None:
    folder = ROOT / "training/configs"
    actual = [read_config(path) for path in sorted(folder.rglob("*.toml"))]
    assert {config.name for config in actual} >= {"lite0-320", "lite0-384", "student"}
    assert all(isinstance(config, Config) for config in actual)


def test_what_is_no_data_set_is_one_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["explore", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "neither" in caplog.text
    with pytest.raises(DatasetError):
        open_dataset(tmp_path / "none.csv")
