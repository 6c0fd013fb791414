"""The benchmarks' own arithmetic; what they measure is not a matter for a test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from benchmarks import registry, timing
from benchmarks.pictures import LONGEST, ROOT, ordinary
from inference_worker.decode import decode
from tests.waiting import PATIENCE
from xrayportal.embedded.processes import wait_until


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


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Everything that it has started so far."""
    return psutil.Process(process.pid).children(recursive=True)


def told(process: subprocess.Popen[str], ask: Callable[[psutil.Process], Iterable[str]]) -> Iterator[str]:
    """What its children answer; those that end meanwhile, as ``initdb`` does, are passed over."""
    for child in children(process):
        with suppress(psutil.NoSuchProcess):
            yield from ask(child)


def computes(process: subprocess.Popen[str]) -> bool:
    """Whether the network is loaded, whose library has threads of its own."""
    libraries = told(process, lambda child: [part.path for part in child.memory_maps()])
    return any("openvino_intel_cpu" in path for path in libraries)


def serves(process: subprocess.Popen[str]) -> bool:
    """Whether both servers run."""
    return {"postgres", "redis-server"} <= set(told(process, lambda child: [child.name()]))


#: Starts Python heeding Ctrl-C, as in a terminal: a suite that a shell runs in its background ignores it, and
#: what ignores it hands that on.
IN_A_TERMINAL = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has loaded")
@pytest.mark.parametrize(
    ("group", "is_under_way"), [("pipeline, many pictures", computes), ("portal", serves)]
)
def test_ctrl_c_ends_a_measurement_with_all_that_it_started(
    tmp_path: Path, group: str, is_under_way: Callable[[subprocess.Popen[str]], bool]
) -> None:
    tmp_path.chmod(0o755)
    command = ["-m", "benchmarks", group, "--json", str(tmp_path / "bench.json")]
    with subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, *command],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert wait_until(lambda: is_under_way(process), seconds=PATIENCE)
        started = children(process)
        for _ in range(2):  # impatient people press it twice
            os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert output.endswith("\nStopped; nothing was written.\n")
    assert errors == ""
    assert [child for child in started if child.is_running()] == []
    assert list(tmp_path.iterdir()) == []
