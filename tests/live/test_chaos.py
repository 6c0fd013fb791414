"""The short form of ``make chaos``: a few faults while pictures are sent to a whole portal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_nothing_is_lost_doubled_or_stuck() -> None:
    command = [sys.executable, "-m", "trials.chaos", "--pictures", "12", "--faults", "4", "--pause", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing was lost, doubled or stuck." in done.stdout
    assert "until the next result: Redis killed" in done.stdout
