"""Who may import whom: the rules of docs/architecture.md, on real imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = {"tensorflow", "keras", "openvino"}
PIXELS = {"cv2", "PIL", "numpy", "simplejpeg", "gdcm"}
#: What only the DICOM node loads, a process of its own that also draws the pictures it sends back.
OF_DICOM_NODE = {"pynetdicom", "highdicom", "cv2"}


def imported(path: Path) -> Iterator[str]:
    """Top-level packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def sources(*folders: str) -> list[Path]:
    """Python files of these folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def offenders(paths: list[Path], banned: set[str]) -> dict[str, set[str]]:
    """Files with what they should not import: a package, or a module by its dotted beginning."""
    found = {
        str(path.relative_to(ROOT)): {
            name for name in imported(path) if any(f"{name}.".startswith(f"{ban}.") for ban in banned)
        }
        for path in paths
    }
    return {name: names for name, names in found.items() if names}


def test_the_portal_imports_no_network_and_decodes_no_pixels() -> None:
    results = ROOT / "xrayportal" / "dicom" / "results"
    portal = [path for path in sources("xrayportal") if path.parent != results]
    assert offenders(portal, FRAMEWORKS | PIXELS) == {}
    assert offenders(sources("xrayportal"), FRAMEWORKS) == {}


def test_the_pipeline_knows_neither_django_nor_the_portal() -> None:
    pipeline = [path for path in sources("inference_worker") if "celery_worker" not in path.parts]
    assert offenders(pipeline, {"django", "celery", "redis", "psycopg2", "xrayportal"}) == {}


def test_only_runtimes_know_a_framework() -> None:
    pipeline = [path for path in sources("inference_worker") if path.parent.name != "runtimes"]
    assert offenders(pipeline, FRAMEWORKS) == {}


def test_nobody_imports_the_embedded_servers() -> None:
    users = [
        path
        for path in sources("xrayportal", "inference_worker", "training")
        if path.parent.name != "embedded"
    ]
    assert offenders(users, {"xrayportal.embedded"}) == {}


@pytest.mark.parametrize("process", ["web", "reconciler"])
def test_a_process_loads_no_framework(process: str) -> None:
    module = {
        "web": "xrayportal.wsgi, xrayportal.urls",
        "reconciler": "xrayportal.wsgi, xrayportal.operations.reconciler",
    }
    heavy = FRAMEWORKS | OF_DICOM_NODE
    code = f"import sys, {module[process]}\nprint(*sorted({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
