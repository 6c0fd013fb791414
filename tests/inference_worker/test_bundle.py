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
from inference_worker.manifest import BundleError
from inference_worker.runtimes import load_runtimes

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
    assert manifest.weak_below == 0.3
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
