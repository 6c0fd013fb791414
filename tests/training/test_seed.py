"""The seed's system on a small tree in MURA's layout: detector, general network and expert in one bundle."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from inference_worker.bundle import Bundle
from inference_worker.pipeline import Pipeline
from inference_worker.runtimes import load_runtimes
from inference_worker.types import Outputs
from tests.conftest import ROOT
from tests.training.conftest import draw_bone, few_graphs, outputs_of
from training.__main__ import main
from training.datasets import mura
from training.datasets.record import DatasetError
from training.datasets.squares import load
from training.learning import checkpoint
from training.learning.configuration import Config, read_config
from training.learning.losses import BodyPartLoss, VerdictLoss, class_weights
from training.learning.splits import folds, outside_the_fold
from training.learning.train import released_weights, train
from training.network import graphs
from training.network.backbones import load_pretrained
from training.network.graphs import run_openvino
from training.network.unified import unified
from training.release.export import bundle_networks

# Keras 3.15 writes its variables in a way that NumPy 2 warns about.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.usefixtures("shallow"),
    pytest.mark.timeout(900),  # tracing the training graph is slow on a busy machine
]

COMMON = """
size = 64
grid = "top"
pooling = "mean"
epochs = 1
batch = 8
warmup = 2
calibration = 0.3
validation = 0.3
map_weight = 0.0
abnormal_share = 0.0
class_weights = true
patience = 1
"""
ROLES = {
    "detector": 'role = "body_part"\nbody_part_weight = 1.0',
    "general": 'role = "abnormality"',
    "wrist": 'role = "abnormality"\nonly = ["wrist"]',
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``MURA-v1.1`` with wrists and elbows (which lie on their side), two views a study."""
    root = tmp_path_factory.mktemp("mura") / mura.ROOT
    lists: dict[str, list[str]] = {}
    for patient in range(40):
        body_part = ("XR_WRIST", "XR_ELBOW")[patient % 2]
        split = "valid" if patient >= 32 else "train"
        broken = patient // 2 % 2 == 0
        study = f"{split}/{body_part}/patient{patient:05}/study1_{'positive' if broken else 'negative'}"
        (root / study).mkdir(parents=True)
        lists.setdefault(f"{split}_labeled_studies.csv", []).append(f"{mura.ROOT}/{study}/,{int(broken)}")
        for view in (1, 2):
            picture, _ = draw_bone(patient * 2 + view, broken)
            turned = picture if body_part == "XR_WRIST" else np.ascontiguousarray(picture.T)
            cv2.imwrite(str(root / study / f"image{view}.png"), turned)
            line = f"{mura.ROOT}/{study}/image{view}.png"
            lists.setdefault(f"{split}_image_paths.csv", []).append(line)
    for name, lines in lists.items():
        (root / name).write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("configs")
    for name, role in ROLES.items():
        (folder / f"{name}.toml").write_text(COMMON + role + "\n")
    return [folder / f"{name}.toml" for name in ROLES]


@pytest.fixture(scope="module")
def runs(shallow: None, tree: Path, configs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the detector and two more, whose losses are the same."""
    folder = tmp_path_factory.mktemp("runs")
    common = ["--data", str(tree), "--runs", str(folder), "--logs", str(folder / "logs")]
    with few_graphs(1):
        for config in configs:
            assert main(["train", "--config", str(config), *common]) == 0
    return folder


@pytest.fixture(scope="module")
def bundle(runs: Path, tree: Path, configs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "seed"
    named = [word for config in configs for word in ("--config", str(config))]
    common = ["--data", str(tree), "--runs", str(runs), "--bundle", str(folder)]
    assert main(["export", *common, *named, "--version", "1"]) == 0
    assert main(["evaluate", *common, "--out", str(runs / "evaluation"), "--card"]) == 0
    return folder


@pytest.mark.slow
def test_the_worker_follows_the_bundle(bundle: Path, tree: Path) -> None:
    loaded = Bundle.load(bundle)
    roles = {network.id: (network.role, network.body_parts) for network in loaded.manifest.networks}
    assert roles == {
        "detector": ("body_part", mura.PARTS),
        "general": ("abnormality", ("*",)),
        "wrist": ("abnormality", ("wrist",)),
    }
    # Loading checks every graph's outputs against its role.
    pipeline = Pipeline(loaded, load_runtimes(loaded, threads=1))
    finding = pipeline.analyse(next(tree.rglob("image1.png")).read_bytes()).finding
    assert set(finding.body_parts) == set(mura.PARTS)
    assert loaded.manifest.abnormality_network("wrist").id == "wrist"
    assert loaded.manifest.abnormality_network("elbow").id == "general"


@pytest.mark.slow
def test_each_picture_is_judged_by_the_network_that_answers(
    bundle: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures come from the experts that the worker would ask."""
    manifest = Bundle.load(bundle).manifest
    squares = load(mura.read(tree).split("test"), 64, bundle.parent / "cache").pixels
    alone = {name: run_openvino(bundle / f"{name}.xml", squares) for name in ROLES}
    named = np.arange(len(squares)) % 2  # elbow and wrist in turn, whatever an untrained detector says
    body_part = np.eye(len(mura.PARTS), dtype=np.float32)[np.where(named == 1, mura.PARTS.index("wrist"), 0)]
    real = graphs.run_openvino

    def predict(path: Path, some: np.ndarray) -> Outputs:
        actual = real(path, some)
        return replace(actual, body_part=body_part) if path.stem == "detector" else actual

    monkeypatch.setattr(graphs, "run_openvino", predict)
    actual = graphs.run_networks(bundle, manifest.networks, manifest.body_parts, squares)
    for row, network in enumerate(np.array(["general", "wrist"])[named]):
        assert actual.logit[row] == pytest.approx(float(alone[network].logit[row]), abs=1e-5)
        np.testing.assert_allclose(actual.map[row], alone[network].map[row], atol=1e-5)
    np.testing.assert_allclose(actual.embedding, alone["detector"].embedding, atol=1e-5)


@pytest.mark.slow
def test_figures_are_per_study_too(bundle: Path, runs: Path) -> None:
    headline = json.loads((runs / "evaluation" / "figures.json").read_text())["headline"]
    assert headline["auc"]["n"] == 16
    assert headline["study_auc"]["n"] == 8
    assert {f"study_{name}" for name in ("brier", "ece", "sensitivity_at_low", "kappa_at_half")} <= set(
        headline
    )
    card = (bundle / "card.md").read_text()
    assert "Figures per study" in card
    assert "3 networks (EfficientNet-Lite0)" in card
    assert "one pass" not in card
    assert "All pictures come from one hospital" in card
    assert "auc" in Bundle.load(bundle).manifest.metrics


@pytest.mark.slow
def test_calibrating_anew_by_an_experts_configuration_uses_the_whole_fold(
    bundle: Path, runs: Path, tree: Path, configs: list[Path], tmp_path: Path
) -> None:
    again = shutil.copytree(bundle, tmp_path / "seed")
    common = ["--data", str(tree), "--runs", str(runs), "--config", str(configs[2])]
    assert main(["calibrate", *common, "--bundle", str(again)]) == 0
    before, after = (json.loads((folder / "manifest.json").read_text()) for folder in (bundle, again))
    assert after["thresholds"] == before["thresholds"]
    assert after["calibration"] == before["calibration"]
    assert after["metrics"] == {}


@pytest.mark.slow
def test_tensorboard_has_its_logs(runs: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(runs / "logs" / "detector" / "train"))
    events.Reload()
    assert "epoch_loss" in events.Tags()["tensors"]


@pytest.mark.slow
def test_training_stops_early_and_the_best_epoch_is_released(
    tree: Path, configs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 2.0, 4.0, 5.0, 1.0])
    monkeypatch.setattr(keras.Model, "evaluate", lambda self, *_, **__: {"loss": next(losses)})
    config = replace(read_config(configs[2]), epochs=5, patience=2)
    data = mura.read(tree)
    with few_graphs(0):
        run = train(config, data, tmp_path, None)
    log = [json.loads(line) for line in (run / checkpoint.LOG).read_text().splitlines()]
    assert [row["val_loss"] for row in log] == [3.0, 2.0, 4.0, 5.0]
    best = released_weights(config, tmp_path, outside_the_fold(data, config))
    assert best.stat().st_mtime < (run / checkpoint.AVERAGE).stat().st_mtime
    progress = (run / checkpoint.PROGRESS).read_text()
    train(config, data, tmp_path, None)
    assert (run / checkpoint.PROGRESS).read_text() == progress, "what has stopped stays so"


def test_experts_and_the_general_network_share_their_fold(tree: Path, configs: list[Path]) -> None:
    data = mura.read(tree)
    _, general, wrist = (folds(data, read_config(path)) for path in configs)
    held = {record.group for record in general[1]}
    assert {record.group for record in wrist[1]} <= held
    assert not {record.group for record in wrist[0]} & held
    assert {record.body_part for record in (*wrist[0], *wrist[1])} == {"wrist"}


def test_networks_that_do_not_belong_bundle_networks(configs: list[Path]) -> None:
    detector, general, wrist = map(read_config, configs)
    for wrong, words in (
        ([detector, wrist], "answers for the part elbow"),
        ([general, wrist], "must classify the body part"),
        ([detector], "classifies the body part only"),
        ([detector, general, general], "same name"),
        ([detector, replace(general, size=96)], "same size"),
        ([detector, general, replace(wrist, pooling="max")], "same pooling"),
        ([detector, replace(general, fold_seed=2)], "same fold_seed"),
    ):
        with pytest.raises(DatasetError, match=words):
            bundle_networks(wrong, mura.PARTS)


def test_class_weights_balance_and_leave_the_mean() -> None:
    target = np.array([0, 0, 0, 1, -1])
    weights = class_weights(target, 3)
    assert weights == pytest.approx([4 / 6, 2.0, 0.0])
    assert np.mean([weights[value] for value in target[:4]]) == pytest.approx(1)
    plain = np.array(VerdictLoss()(np.array([1.0, 0.0]), np.array([0.3, 0.3])))
    weighed = np.array(VerdictLoss((0.5, 3.0))(np.array([1.0, 0.0]), np.array([0.3, 0.3])))
    np.testing.assert_allclose(weighed, plain * [3.0, 0.5], rtol=1e-6)
    body_part = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.7, 0.2, 0.1]], np.float32)
    one_hot = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]])
    actual = np.array(BodyPartLoss(weights)(one_hot, body_part))
    np.testing.assert_allclose(actual, [-np.log(0.7) * 4 / 6, -np.log(0.2) * 2, 0], rtol=1e-5)


def test_balancing_twice_is_refused() -> None:
    with pytest.raises(DatasetError, match="twice"):
        Config("c", class_weights=True)
    with pytest.raises(DatasetError, match="role"):
        Config("c", role="judge")


def test_every_part_of_mura_has_its_configuration() -> None:
    folder = ROOT / "training/configs"
    seed = {path.stem: read_config(path) for path in folder.glob("seed-*.toml")}
    assert {config.only for config in seed.values()} == {(), *((body_part,) for body_part in mura.PARTS)}
    assert len(bundle_networks(list(seed.values()), mura.PARTS)) == 9


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["densenet169", "efficientnetb0"])
def test_a_local_file_gives_the_published_features(backbone: str, tmp_path: Path) -> None:
    """What Keras' own network makes of a picture with the file's weights, ours makes of it too."""
    keras.utils.set_random_seed(3)
    application = {"densenet169": "DenseNet169", "efficientnetb0": "EfficientNetB0"}[backbone]
    donor = getattr(keras.applications, application)(include_top=False, weights=None)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    if backbone == "efficientnetb0":
        scaling = next(layer for layer in donor.layers if isinstance(layer, keras.layers.Normalization))
        scaling.set_weights([mean, std**2, np.array(0)])
        scaling.finalize_state()
    donor.save_weights(tmp_path / "donor.weights.h5")
    network = unified(64, 2, backbone=backbone, grid="top")
    load_pretrained(network, backbone, str(tmp_path / "donor.weights.h5"))
    grey = np.random.default_rng(4).uniform(0, 255, (1, 64, 64, 1)).astype(np.float32)
    colour = np.repeat(grey, 3, axis=-1)
    if backbone == "densenet169":
        colour = keras.applications.densenet.preprocess_input(colour)
    else:
        # With weights="imagenet" Keras divides the normalised levels by the root of the deviation.
        colour = 255 * (mean + (colour / 255 - mean) / np.sqrt(std))
        scaled = next(layer for layer in network.layers if isinstance(layer, keras.layers.Normalization))
        actual = outputs_of(keras.Model(network.input, scaled.output), grey)
        np.testing.assert_allclose(actual, (colour / 255 - mean) / std, atol=1e-4)
    expected = outputs_of(donor, colour).mean(axis=(1, 2))
    np.testing.assert_allclose(outputs_of(network, grey)["embedding"], expected, rtol=1e-3, atol=1e-4)
