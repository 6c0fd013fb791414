"""The units of deploy/systemd run what the Procfile names, and start it again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from xrayportal.embedded.supervisor import parse_procfile

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "deploy" / "systemd"
PROCESSES = parse_procfile((ROOT / "Procfile").read_text())


def values(unit: str, key: str) -> list[str]:
    """What a unit says of a key, in order."""
    lines = (UNITS / unit).read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def test_the_target_starts_every_process_that_any_portal_has() -> None:
    wanted = {
        name.removeprefix("xray-portal@").removesuffix(".service")
        for name in values("xray-portal.target", "Wants")[0].split()
        if "@" in name
    }
    assert wanted == set(PROCESSES) - {"dicom"}, "the DICOM node only where a clinic has one"


def test_each_is_started_again_for_ever_with_growing_pauses() -> None:
    assert values("xray-portal@.service", "Restart") == ["always"]
    assert values("xray-portal@.service", "StartLimitIntervalSec") == ["0"]
    assert values("xray-portal@.service", "RestartMaxDelaySec") == ["30"]


@pytest.mark.parametrize("name", [*PROCESSES, "worker-2"])
def test_the_program_of_the_unit_becomes_the_process(name: str, tmp_path: Path) -> None:
    assert values("xray-portal@.service", "ExecStart") == ["/opt/xray-portal/docker/process %i"]
    line = PROCESSES[name.removesuffix("-2")]
    (tmp_path / "Procfile").write_text(f"{name.removesuffix('-2')}: echo {line.split()[0]}\n")
    command = [ROOT / "docker" / "process", name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [line.split()[0]]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_the_units() -> None:
    units = [str(path) for path in sorted(UNITS.iterdir())]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    strange = [line for line in done.stderr.splitlines() if "Unknown" in line or "Failed to parse" in line]
    # Growing pauses came with systemd 254; before that every pause is RestartSec.
    assert [line for line in strange if "'RestartSteps'" not in line and "'RestartMaxDelay" not in line] == []
