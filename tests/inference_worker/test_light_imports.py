"""What the portal imports of this library: its processes are installed without NumPy or any decoder."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Not in ``requirements/web.in``.
MISSING = ("numpy", "cv2", "simplejpeg", "gdcm", "openjpeg", "openvino", "tensorflow")


#: Runs where the DICOM node and the workers' packages are (requirements/worker.in), never in a web process.
WITH_DECODERS = ROOT / "xrayportal/dicom/results"


def imported_by_the_portal() -> set[str]:
    """Modules of this library that a file of the portal's web processes imports."""
    names: set[str] = set()
    for path in (ROOT / "xrayportal").rglob("*.py"):
        if path.is_relative_to(WITH_DECODERS):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("inference_worker."):
                names.add(str(node.module))
    return names


@pytest.mark.parametrize("module", sorted(imported_by_the_portal()))
def test_the_portal_needs_no_decoder(module: str) -> None:
    code = f"import sys; sys.modules.update(dict.fromkeys({MISSING}, None)); import {module}"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
