"""Bundles are verified, registered and activated; a name always stands for the same bundle."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from tests.factories import PARTS
from xrayportal.analyses.bundles import NoActiveBundleError, active_bundle, register_all, register_bundle
from xrayportal.analyses.models import Bundle
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.actors import COMMAND_LINE

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    """An empty folder as BUNDLES_DIR."""
    settings.BUNDLES_DIR = tmp_path
    return tmp_path


def write(folder: Path, name: str, version: str = "1", **changes: Any) -> None:
    """Write a bundle that is complete, except that its network is not one."""
    home = folder / name
    home.mkdir(exist_ok=True)
    content = {"network.xml": b"xml", "network.bin": b"bin", "out_of_distribution.npz": b"npz"}
    for file, data in content.items():
        (home / file).write_bytes(data)
    manifest = {
        "schema": 1,
        "name": name,
        "version": version,
        "released": "2026-11-22",
        "target": {
            "code": "fracture",
            "normal": "No fracture seen",
            "abnormal": "Fracture suspected",
            "uncertain": "Uncertain",
            "unsupported": "Unsupported",
        },
        "input": {"size": 320, "contrast_percentiles": [0.5, 99.5]},
        "body_parts": PARTS,
        "networks": [
            {"id": "unified", "files": {"openvino": "network.xml"}, "role": "unified", "body_parts": ["*"]}
        ],
        "map": {
            "height": 20,
            "width": 20,
            "scale": 4.0,
            "pooling": "mean",
            "temperature": 1.0,
            "features": "top",
        },
        "calibration": {"kind": "platt", "slope": 1.0, "intercept": 0.0, "offsets": {}},
        "thresholds": {"low": 0.2, "high": 0.7, "limits": {"low": [0.05, 0.4], "high": [0.5, 0.95]}},
        "prevalence": 0.18,
        "aggregate": "mean",
        "out_of_distribution": {"file": "out_of_distribution.npz", "limit": 1.0, "chroma_limit": 10.0},
        "trust": {
            "temperature": 1.0,
            "intercept": 0.0,
            "weights": {"peak": 1.0, "focus": 1.0, "border": 0.0, "rival": 0.0},
            "weak_below": 0.4,
        },
        "metrics": {},
        "data": {"name": "d", "attribution": "a", "licence": "l", "fingerprint": "f"},
        "software": {},
        "files": {file: hashlib.sha256(data).hexdigest() for file, data in content.items()},
        **changes,
    }
    (home / "manifest.json").write_text(json.dumps(manifest))


def run(*arguments: str) -> str:
    """The output of ``manage.py bundle …``."""
    out = io.StringIO()
    call_command("bundle", *arguments, stdout=out)
    return out.getvalue()


def test_register_list_and_activate(folder: Path) -> None:
    write(folder, "one")
    write(folder, "two", prevalence=0.2)
    assert "one@1 is active" in run("register", "one", "--activate")
    assert "two@1 is registered" in run("register", "two")
    assert active_bundle().name == "one@1"
    assert active_bundle().thresholds["low"] == 0.2
    assert "two@1 is active" in run("activate", "two@1")
    lines = run("list").splitlines()
    assert lines[0].startswith("  one@1")
    assert lines[1].startswith("* two@1")
    events = AuditEvent.objects.filter(action=Action.BUNDLE_ACTIVATED, clinic=None)
    assert [event.detail["bundle"] for event in events.order_by("number")] == ["one@1", "two@1"]


def test_again_is_harmless(folder: Path) -> None:
    write(folder, "one")
    first = register_bundle(folder="one", activate=True, actor=COMMAND_LINE)
    assert register_bundle(folder="one", activate=True, actor=COMMAND_LINE) == first
    assert AuditEvent.objects.count() == 1


def test_a_changed_bundle_needs_a_new_version(folder: Path) -> None:
    write(folder, "one")
    run("register", "one", "--activate")
    write(folder, "one", prevalence=0.5)
    with pytest.raises(CommandError, match="needs a new version"):
        run("register", "one")
    write(folder, "one", version="2", prevalence=0.5)
    run("register", "one")
    assert Bundle.objects.count() == 2
    assert active_bundle().name == "one@1"


def test_a_bundle_that_is_not_whole_is_refused(folder: Path) -> None:
    write(folder, "one")
    (folder / "one" / "network.bin").write_bytes(b"changed")
    with pytest.raises(CommandError, match=r"network\.bin is not the file that was released"):
        run("register", "one")
    (folder / "one" / "network.bin").unlink()
    with pytest.raises(CommandError, match="missing"):
        run("register", "one")
    write(folder, "one", files={})
    with pytest.raises(CommandError, match="no sha256 for network"):
        run("register", "one")
    assert not Bundle.objects.exists()


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "", "nothing"])
def test_only_folders_of_the_bundles_folder(folder: Path, name: str) -> None:
    with pytest.raises(CommandError):
        run("register", name)


def test_unknown_names_are_one_sentence(folder: Path) -> None:
    with pytest.raises(CommandError, match="No bundle is called “x@1”"):
        run("activate", "x@1")
    with pytest.raises(NoActiveBundleError, match="bundle register"):
        active_bundle()


def test_all_that_is_there_is_registered_and_one_that_is_there_is_active(folder: Path) -> None:
    assert "No usable bundle" in register_all()[0]
    write(folder, "old", released="2026-01-01")
    write(folder, "new", released="2026-11-01")
    write(folder, "broken")
    (folder / "broken" / "network.bin").unlink()
    sentences = register_all()
    assert [sentence.split(":")[0] for sentence in sentences] == [
        f"The bundle in {folder / 'broken'} is not used",
        "Registered the bundle new@1.",
        "Registered the bundle old@1.",
        "Activated the bundle new@1.",
    ]
    run("activate", "old@1")
    assert len(register_all()) == 1, "what a person chose stays"
    assert active_bundle().name == "old@1"
    write(folder, "old", version="2", released="2026-12-01")
    register_all()
    assert active_bundle().name == "old@2", "no worker could load what was replaced"
