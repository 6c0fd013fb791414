"""``python -m training`` where its packages are not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

TRAINING = ("keras", "tensorflow", "sklearn", "matplotlib", "nncf", "skimage")
WORKER = ("numpy", "cv2", "openvino", "PIL")


def run(missing: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, in which importing a package of ``missing`` fails."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({missing!r})); "
        f"from training.__main__ import main; sys.exit(main({list(arguments)!r}))"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("explore", TRAINING),
        ("train", TRAINING),
        ("export", TRAINING),
        ("evaluate", TRAINING),
        ("explain", TRAINING),
        ("train", ("numpy",)),
        ("calibrate", ("cv2",)),
    ],
)
def test_a_command_without_its_packages_says_what_installs_them(
    command: str, missing: tuple[str, ...], bones: Path, tmp_path: Path
) -> None:
    arguments = [command, "--data", str(bones)]
    if command not in ("explore", "evaluate"):
        arguments += ["--config", "training/configs/lite0-320.toml"]
    if command not in ("explore", "train"):
        arguments += ["--bundle", str(tmp_path)]
    if command == "export":
        arguments += ["--version", "1"]
    done = run(missing, *arguments)
    assert done.returncode == 1
    sentences = done.stderr.splitlines()
    assert len(sentences) == 1
    assert "is not installed: `make training` installs it." in sentences[0]


def test_help_needs_no_package() -> None:
    done = run(TRAINING + WORKER, "--help")
    assert done.returncode == 0, done.stderr
    assert "explore" in done.stdout


def test_a_missing_module_of_ours_is_no_missing_package() -> None:
    done = run(("training.datasets.fetch",), "fetch", "mura")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
