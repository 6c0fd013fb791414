"""The shipped bundle: whole, small, the same on both runtimes, and it knows what it does not know."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from pydicom.data import get_testdata_file

from inference_worker.bundle import Bundle
from inference_worker.decode import decode
from inference_worker.out_of_distribution import OutOfDistributionDetector
from inference_worker.preprocess import as_batch, letterbox
from inference_worker.runtimes.outputs import outputs
from inference_worker.types import UnreadableError
from tests.conftest import ROOT
from tests.training.conftest import outputs_of
from training.datasets import fracatlas
from training.datasets.squares import read_grey
from training.learning.splits import fingerprint, folds
from training.network.graphs import run_openvino
from training.release.out_of_distribution import small
from training.release.outliers import outliers

FOLDER = ROOT / "models/fracatlas-lite0"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(FOLDER)


@pytest.fixture(scope="module")
def detector(bundle: Bundle) -> OutOfDistributionDetector:
    limits = bundle.manifest.out_of_distribution
    return OutOfDistributionDetector.load(bundle.detector_file, limits.limit, limits.chroma_limit)


def _squares(bundle: Bundle, pictures: list[np.ndarray]) -> np.ndarray:
    return np.stack([letterbox(pixels, bundle.manifest.input.size)[0] for pixels in pictures])


def _sample(name: str) -> np.ndarray:
    path = get_testdata_file(name)
    assert path is not None
    return decode(Path(str(path)).read_bytes()).pixels


def test_the_bundle_is_small_enough() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 40_000_000


def test_the_metrics_reach_the_floor(bundle: Bundle) -> None:
    """Plain fine-tuning gave 0.90; every figure carries its interval and count."""
    metrics = bundle.manifest.metrics
    assert metrics["auc"]["value"] >= 0.90
    assert metrics["judged_auc"]["value"] >= 0.92
    assert metrics["judged_uncertain"]["value"] <= 0.35
    assert metrics["auc"]["n"] == 624
    assert metrics["out_of_distribution_rejected"]["value"] <= 0.03
    assert all(row["low"] <= row["value"] <= row["high"] for row in metrics.values())


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_both_runtimes_agree(bundle: Bundle, shared: Path) -> None:
    names = ("IMG0000019.jpg", "IMG0000092.jpg", "IMG0000142.jpg")
    squares = _squares(bundle, [read_grey(shared / "data/fracatlas/images" / name) for name in names])
    actual = run_openvino(FOLDER / "network.xml", squares)
    network = keras.saving.load_model(FOLDER / "network.keras", compile=False)
    expected = outputs(outputs_of(network, as_batch(squares)), len(squares))
    for field in fields(expected):
        left, right = getattr(actual, field.name), getattr(expected, field.name)
        np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-3, err_msg=field.name)


def test_a_tibia_is_in_scope_and_a_chest_is_not(bundle: Bundle, detector: OutOfDistributionDetector) -> None:
    actual = run_openvino(
        FOLDER / "network.xml", _squares(bundle, [_sample("RG3_UNCR.dcm"), _sample("RG1_UNCR.dcm")])
    )
    tibia, chest = detector.distance(actual.embedding)
    assert tibia <= 1
    assert bundle.manifest.body_parts[int(actual.body_part[0].argmax())] in ("tibia", "ankle")
    assert chest > 1


def test_what_is_no_radiograph_is_out_of_scope(bundle: Bundle, detector: OutOfDistributionDetector) -> None:
    strangers = outliers("judge")
    actual = run_openvino(FOLDER / "network.xml", _squares(bundle, [o.pixels for o in strangers]))
    turned_away = detector.distance(actual.embedding) > 1
    missed = [o.kind for o, away in zip(strangers, turned_away, strict=True) if not away]
    assert turned_away.mean() >= 0.95, missed


def test_what_it_says_of_itself(bundle: Bundle) -> None:
    """Feet are not judged, no trust score is shown, and every answer says what it was worth."""
    manifest = bundle.manifest
    assert "foot" in manifest.unjudged
    assert not {"wrist", "forearm", "knee", "ankle"} & manifest.unjudged
    assert all(
        one.auc is not None and one.auc.low >= 0.7 and one.abnormal >= 10
        for one in manifest.body_part_reliability.values()
        if one.judged
    )
    assert manifest.trust is None
    assert manifest.rates is not None
    assert manifest.rates.normal.abnormal / max(1, manifest.rates.normal.pictures) < 0.05
    assert manifest.location is not None
    assert manifest.location.strong.hits / manifest.location.strong.pictures >= 0.8


def test_strangers_are_refused_and_limbs_are_not(shared: Path) -> None:
    """Spines of a source that did not set the detector, chests that did; small limbs stay in."""
    from inference_worker.pipeline import Pipeline
    from inference_worker.runtimes import load_runtimes

    loaded = Bundle.load(FOLDER)
    pipeline = Pipeline(loaded, load_runtimes(loaded, threads=2))

    def refused(paths: list[Path], side: int = 0) -> float:
        pictures = [read_grey(path) for path in paths]
        if side:
            pictures = [small(pixels) for pixels in pictures]
        files = [cv2.imencode(".png", pixels)[1].tobytes() for pixels in pictures]
        answers = pipeline.analyse_many(files)
        assert not any(isinstance(one, UnreadableError) for one in answers)
        return float(np.mean([one.finding.verdict == "unsupported" for one in answers]))

    scope = sorted((shared / "data/scope").glob("*.jpg"))
    assert refused([path for path in scope if path.name.startswith("kaushpine")][::8]) >= 0.95
    assert refused([path for path in scope if path.name.startswith("vqaradchest")][::5]) >= 0.95
    assert refused([path for path in scope if path.name.startswith("kermany")][::8], side=224) >= 0.95
    limbs = [one.path for one in fracatlas.read(shared / "data/fracatlas").split("train")][::60]
    assert refused(limbs) <= 0.03
    assert refused(limbs, side=224) <= 0.03


def test_the_map_adds_up_to_the_logit(bundle: Bundle, shared: Path) -> None:
    """Log-sum-exp of the map differs from the logit by one constant, the bias."""
    names = ("IMG0000000.jpg", "IMG0000019.jpg", "IMG0000142.jpg")
    squares = _squares(bundle, [read_grey(shared / "data/fracatlas/images" / name) for name in names])
    actual = run_openvino(FOLDER / "network.xml", squares)
    temperature = bundle.manifest.map.temperature or 1.0
    flat = actual.map.reshape(len(names), -1).astype(np.float64)
    pooled = temperature * np.log(np.exp(flat / temperature).mean(axis=1))
    assert float(np.ptp(actual.logit - pooled)) < 1e-3


def test_the_fingerprint_is_of_the_training_pictures(bundle: Bundle, shared: Path) -> None:
    from training.learning.configuration import read_config

    config = read_config(ROOT / f"training/configs/{bundle.manifest.data['configuration']}.toml")
    learn, held = folds(fracatlas.read(shared / "data/fracatlas"), config)
    assert fingerprint(learn) == bundle.manifest.data["fingerprint"]
    assert len(held) == bundle.manifest.data["aligned_on"]


def test_the_card_names_its_sources() -> None:
    card = (FOLDER / "card.md").read_text(encoding="utf-8")
    for words in ("CC BY 4.0", "Apache-2.0", "Research use only", "10.6084/m9.figshare.22363012"):
        assert words in card
    manifest = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["files"]) >= {
        "network.xml",
        "network.bin",
        "network.keras",
        "out_of_distribution.npz",
        "card.md",
    }
