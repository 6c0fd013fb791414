"""What `make` says, run for real where that is quick."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it as a person would, not as the make that runs this test."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_alone_it_explains_itself() -> None:
    said = make().stdout
    assert "make demo" in said
    assert "make test" in said


def test_no_suitable_python_is_one_sentence(tmp_path: Path) -> None:
    done = make("install", "BASE_PYTHON=", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert "needs Python 3.11 or 3.12 with venv; none was found on PATH" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_installed_requirements_are_not_installed_again(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    (venv / ".local").touch()
    done = make("install", f"VENV={venv}")
    assert done.returncode == 0, done.stderr
    assert "Installing" not in done.stdout


def test_ci_installs_a_browser_and_then_runs_exactly_tests_and_lint() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("make test\nmake lint")
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_lint_without_npm_is_one_sentence(tmp_path: Path) -> None:
    done = make("lint", "NPM=no-such-npm", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert "needs Node.js 16.20 or newer with npm to check JavaScript; npm was not found" in done.stderr
    assert not (tmp_path / "venv").exists()
