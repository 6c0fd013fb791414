"""The benchmarks' own arithmetic; what they measure is not a matter for a test."""

from __future__ import annotations

import pytest

from benchmarks import registry, timing
from benchmarks.pictures import LONGEST, ordinary
from inference_worker.decode import decode


def test_a_promise_is_held_against_the_median() -> None:
    assert timing.row("a", [1, 2, 30], at_most=2).kept is True
    assert timing.row("a", [1, 2, 30], at_most=1.9).kept is False
    assert timing.row("a", [1, 2, 30], "times", at_least=2.1).kept is False
    plain = timing.row("a", [1, 2, 30])
    assert (plain.n, plain.median, plain.kept, plain.unit) == (3, 2, None, "ms")
    assert plain.p95 == pytest.approx(27.2)


def test_rivals_take_turns() -> None:
    turns: list[str] = []
    times = timing.in_turns({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, 3, warm_up=1)
    assert turns == ["a", "b", *["a", "b"] * 3]
    assert [len(values) for values in times.values()] == [3, 3]
    assert timing.ratios([4, 9], [2, 3]) == [2, 3]


def test_two_groups_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BENCHMARKS", {})
    registry.benchmark("x")(list)
    with pytest.raises(ValueError, match="two benchmarks"):
        registry.benchmark("x")(list)


def test_ordinary_pictures_are_ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAY_SHARED", "/nonexistent")
    files, what = ordinary(3)
    assert what == "drawn"
    for data in files:
        assert max(decode(data).pixels.shape) <= LONGEST
