"""What belongs into the repository: nothing that a program leaves behind when it runs."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Programs keep what they remember in folders whose names begin with a dot; this one is ours.
HIDDEN = {".ci"}


def test_no_program_left_its_memory_in_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no clone")
    folders = {part for name in listed.stdout.split("\0") for part in PurePosixPath(name).parts[:-1]}
    assert {folder for folder in folders if folder.startswith(".")} == HIDDEN
