"""The fuzzer's short form, and its own honesty: seeds are sound, and a failure is seen and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference_worker.decode import decode, isolated
from tests.fuzz.__main__ import fuzz
from tests.fuzz.seeds import seeds


def test_every_seed_is_read() -> None:
    for name, data in seeds().items():
        assert decode(data).pixels.size, name


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    tally = fuzz(30, seed=20261126, kept=tmp_path, most_files=1500)
    assert tally.failures == []
    assert tally.files == sum(tally.outcomes.values()) == 1500
    assert tally.outcomes["read"] > 100
    assert len(tally.outcomes) > 5


def test_a_decoder_that_dies_is_counted_and_its_file_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated, "CHILD", "tests.fuzz.dying_child")
    tally = fuzz(30, seed=1, kept=tmp_path, most_files=2)
    assert [line.partition(":")[0] for line in tally.failures] == ["ended its process"] * 2
    assert len(list(tmp_path.iterdir())) == 2
