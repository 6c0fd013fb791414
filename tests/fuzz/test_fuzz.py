"""The fuzzer's short form, and its own honesty: seeds are sound, and a failure is seen and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference_worker.decode import decode, isolated
from tests.fuzz.decoders import Decoders
from tests.fuzz.intake import Intake
from tests.fuzz.running import fuzz
from tests.fuzz.seeds import seeds


def test_every_seed_is_read() -> None:
    for name, data in seeds().items():
        assert decode(data).pixels.size, name


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    tally = fuzz(Decoders(), 30, seed=20261126, kept=tmp_path, most_files=1500)
    assert tally.failures == []
    assert tally.files == sum(tally.outcomes.values()) == 1500
    assert tally.outcomes["read"] > 100
    assert len(tally.outcomes) > 5


def test_every_seed_is_taken_at_the_door() -> None:
    with Intake() as intake:
        refused = {name: intake.take(name, data) for name, data in intake.sources.items()}
    assert set(refused.values()) == {"taken"}, refused


def test_damaged_files_are_taken_or_refused_at_the_door(tmp_path: Path) -> None:
    tally = fuzz(Intake(), 30, seed=20261126, kept=tmp_path, most_files=1500)
    assert tally.failures == []
    assert tally.files == sum(tally.outcomes.values()) == 1500
    assert tally.outcomes["taken"] > 100
    assert {"labels", "archive-damaged", "corrupt", "HTTP 400"} <= tally.outcomes.keys()


def test_what_dies_is_counted_and_its_file_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "CHILD", "tests.fuzz.dying_child")
    for number, subject in enumerate((Decoders(), Intake("tests.fuzz.dying_child"))):
        kept = tmp_path / str(number)
        tally = fuzz(subject, 30, seed=1, kept=kept, most_files=2)
        assert [line.partition(":")[0] for line in tally.failures] == ["ended its process"] * 2
        assert len(list(kept.iterdir())) == 2


def test_what_nobody_expects_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    intake = Intake()
    monkeypatch.setattr(intake, "sources", {"nowhere": b"PK"})
    tally = fuzz(intake, 30, seed=1, kept=tmp_path, most_files=1)
    assert tally.outcomes["failed"] == 1
