"""A bundle is used whole and untouched, or refused with a sentence that says where it is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference_worker import bundle as bundles_module
from inference_worker.bundle import Bundle, find_bundle
from inference_worker.manifest import BundleError, Interval, Rate
from inference_worker.runtimes import load_runtimes
from tests.measured import with_measures

Document = dict[str, Any]


@pytest.fixture
def folder(bundles: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundles / "unified", tmp_path / "tiny"))


def edit(folder: Path, change: Callable[[Document], object]) -> None:
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_loads(folder: Path) -> None:
    bundle = Bundle.load(folder)
    manifest = bundle.manifest
    assert manifest.label == "tiny@1"
    assert manifest.body_parts == ("hand", "wrist", "ankle")
    assert manifest.target.words("abnormal") == "Fracture suspected"
    assert manifest.trust is not None
    assert (manifest.thresholds.even, manifest.rates, manifest.location) == (None, None, None)
    assert manifest.unjudged == frozenset()
    assert bundle.file(manifest.body_part_network, "openvino") == folder / "network.xml"
    with pytest.raises(BundleError, match="no abacus file"):
        bundle.file(manifest.body_part_network, "abacus")


def test_experts_answer_before_the_general_network(bundles: Path) -> None:
    manifest = Bundle.load(bundles / "experts").manifest
    assert manifest.body_part_network.id == "part"
    assert {body_part: manifest.abnormality_network(body_part).id for body_part in manifest.body_parts} == {
        "hand": "general",
        "wrist": "wrist",
        "ankle": "general",
    }


@pytest.mark.parametrize("name", ["network.bin", "network.keras", "out_of_distribution.npz"])
def test_a_changed_file_is_refused(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(BundleError, match=rf"{name} is not the file that was released"):
        Bundle.load(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / "network.bin").unlink()
    with pytest.raises(BundleError, match=r"network\.bin is missing"):
        Bundle.load(folder)


def test_a_file_without_a_sum_is_refused(folder: Path) -> None:
    edit(folder, lambda document: document["files"].pop("network.bin"))
    with pytest.raises(BundleError, match=r"no sha256 for network\.bin"):
        Bundle.load(folder)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda d: d.pop("schema"), "lacks `schema`"),
        (lambda d: d.update(schema=2), "knows schema 1"),
        (lambda d: d["thresholds"].update(low=0.8, high=0.6), "low threshold must lie"),
        (lambda d: d["thresholds"].update(low=0.49, high=0.49), "high threshold must lie"),
        (lambda d: d["thresholds"].update(low=True), r"thresholds\.low must be a number"),
        (lambda d: d["thresholds"]["limits"].update(low=[0.5, 0.1]), "the smaller first"),
        (lambda d: d["input"].update(contrast_percentiles=[1, 99]), "contrast percentiles"),
        (lambda d: d["input"].update(size=320.5), r"input\.size must be a whole number"),
        (lambda d: d["map"].update(scale=0), r"map\.scale must be a number"),
        (lambda d: d["calibration"].update(kind="isotonic"), r"calibration\.kind must be one of platt"),
        (lambda d: d["calibration"]["offsets"].update(skull=1), "skull"),
        (lambda d: d["calibration"].update(slope=float("nan")), r"calibration\.slope must be a number"),
        (lambda d: d.update(aggregate="median"), "aggregate must be one of mean, max"),
        (lambda d: d.update(body_parts=["hand", "hand"]), "anything twice"),
        (lambda d: d.update(networks=[]), "networks must be a list that is not empty"),
        (
            lambda d: d["networks"][0].update(role="abnormality"),
            "exactly one network must classify the body part",
        ),
        (
            lambda d: d["networks"][0].update(body_parts=["hand"]),
            "no network answers for the body part 'wrist'",
        ),
        (lambda d: d["networks"][0].update(body_parts=["skull"]), "'skull'"),
        (lambda d: d["networks"].append(d["networks"][0]), "share an id"),
        (lambda d: d["networks"][0]["files"].update(openvino="../network.xml"), "inside the bundle"),
        (lambda d: d["files"].update({"/etc/passwd": "0"}), "inside the bundle"),
        (lambda d: d["out_of_distribution"].update(file=""), r"out_of_distribution\.file must be a text"),
        (lambda d: d["out_of_distribution"].update(limit=0), r"out_of_distribution\.limit must be a number"),
        (lambda d: d["trust"]["weights"].pop("rival"), r"trust\.weights lacks `rival`"),
        (lambda d: d["trust"].update(temperature=0), r"trust\.temperature must be a number"),
        (lambda d: d["target"].pop("uncertain"), "lacks `uncertain`"),
        (lambda d: d.update(prevalence=1.5), "prevalence must be a number between 0 and 1"),
    ],
)
def test_a_manifest_that_is_wrong_says_where(
    folder: Path, change: Callable[[Document], object], complaint: str
) -> None:
    edit(folder, change)
    with pytest.raises(BundleError, match=complaint):
        Bundle.load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"bundle"'])
def test_a_manifest_that_is_no_object(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.load(folder)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle"):
        Bundle.load(tmp_path)


def test_graphs_must_give_what_the_manifest_says(folder: Path) -> None:
    edit(folder, lambda document: document["map"].update(height=20))
    with pytest.raises(BundleError, match=r"map \(1, 16, 16\)"):
        load_runtimes(Bundle.load(folder))
    with pytest.raises(ValueError, match="no runtime 'abacus'"):
        load_runtimes(Bundle.load(folder), "abacus")


def test_find(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XRAY_BUNDLE", raising=False)
    monkeypatch.setattr(bundles_module, "MODELS", folder.parent)
    assert find_bundle() == folder
    assert find_bundle("tiny") == folder
    assert find_bundle(str(folder)) == folder
    monkeypatch.setenv("XRAY_BUNDLE", "other")
    with pytest.raises(BundleError, match="no bundle 'other'"):
        find_bundle()
    monkeypatch.setenv("XRAY_BUNDLE", str(folder))
    assert find_bundle() == folder
    monkeypatch.delenv("XRAY_BUNDLE")
    shutil.copytree(folder, folder.parent / "second")
    with pytest.raises(BundleError, match="several bundles"):
        find_bundle()
    monkeypatch.setattr(bundles_module, "MODELS", folder)
    with pytest.raises(BundleError, match="there is no bundle under"):
        find_bundle()


def add_measures(document: Document) -> None:
    document.update(with_measures(document, unjudged="ankle"))


def test_a_measured_bundle_loads(folder: Path) -> None:
    edit(folder, add_measures)
    manifest = Bundle.load(folder).manifest
    assert manifest.unjudged == {"ankle"}
    assert manifest.body_part_reliability["ankle"].auc == Interval(0.52, 0.38, 0.66)
    assert manifest.thresholds.even == manifest.thresholds.at(0.1, 0.9).even == 0.45
    assert manifest.rates is not None
    assert manifest.rates.towards_normal == Rate(pictures=140, abnormal=14)
    assert manifest.location is not None
    assert [manifest.location.band(peak) for peak in (-0.1, 0.0, 2.0, 2.1)] == [
        "none",
        "weak",
        "weak",
        "strong",
    ]
    assert manifest.trust is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda d: d["thresholds"].update(even=0.8), r"even must lie between low \(0\.3\) and high \(0\.7\)"),
        (lambda d: d["body_part_reliability"].pop("hand"), "lacks the body part 'hand'"),
        (lambda d: d["body_part_reliability"].update(skull={}), "names skull, which"),
        (
            lambda d: d["body_part_reliability"]["hand"].update(judged=1),
            r"hand\.judged must be true or false",
        ),
        (lambda d: d["body_part_reliability"]["hand"].update(abnormal=353), r"between 0 and 352"),
        (
            lambda d: d["body_part_reliability"]["ankle"]["auc"].update(low=0.6),
            r"ankle\.auc must have its value between low and high",
        ),
        (
            lambda d: [entry.update(judged=False) for entry in d["body_part_reliability"].values()],
            "judges no body part",
        ),
        (lambda d: d["rates"].pop("towards_normal"), "rates lacks `towards_normal`"),
        (lambda d: d["rates"].update(measured_on=""), r"measured_on must be a text"),
        (lambda d: d["rates"]["normal"].update(abnormal=301), r"normal\.abnormal must be a number"),
        (lambda d: d["rates"].update(pictures=500), "must not be fewer than the pictures of all four"),
        (lambda d: d["location"].update(strong_from=-1), r"strong_from must not lie below visible_from"),
        (lambda d: d["location"]["weak"].update(hits=121), r"weak\.hits must be a number between 0 and 120"),
    ],
)
def test_a_measure_that_is_wrong_says_where(
    folder: Path, change: Callable[[Document], object], complaint: str
) -> None:
    edit(folder, add_measures)
    edit(folder, change)
    with pytest.raises(BundleError, match=complaint):
        Bundle.load(folder)
