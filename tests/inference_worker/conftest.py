"""Bundles, drawn pictures and the real files that the packages bring; nothing is downloaded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference_worker.bundle import Bundle
from inference_worker.pipeline import Pipeline
from inference_worker.runtimes import load_runtimes

ROOT = Path(__file__).resolve().parents[2]


def shared() -> Path:
    """Where the data lie that are not part of this repository."""
    return Path(os.environ.get("XRAY_SHARED", ROOT.parent / "shared"))


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@pytest.fixture(scope="session")
def dicom_file() -> Callable[[str], Path]:
    """A test file of pydicom or pydicom-data by name, from the packages: pydicom's own finder downloads."""
    folders = [_package_folder("data_store") / "data", _package_folder("pydicom") / "data" / "test_files"]

    def find(name: str) -> Path:
        return next(path for folder in folders if (path := folder / name).is_file())

    return find


@pytest.fixture(scope="session")
def truncated_files() -> list[Path]:
    folder = shared() / "data" / "truncated"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there (XRAY_SHARED names the folder of shared data)")
    return sorted(folder.glob("*.jpg"))


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundles ``unified`` and ``experts`` of `tests.inference_worker.tiny`."""
    folder = tmp_path_factory.mktemp("bundles")
    built = subprocess.run(
        [sys.executable, "-m", "tests.inference_worker.tiny", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="session")
def pipeline(bundles: Path) -> Pipeline:
    bundle = Bundle.load(bundles / "unified")
    return Pipeline(bundle, load_runtimes(bundle, threads=1))


@pytest.fixture
def noise() -> NDArray[np.uint8]:
    """A grey picture of 90 by 60 pixels in which every pixel has a grey of its place."""
    return np.random.default_rng(7).integers(0, 256, (60, 90), dtype=np.uint8)
