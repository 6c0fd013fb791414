"""The portal's processor time beside that of version 0.1.0, both measured in turns in one run.

Each version is a process of its own with its own PostgreSQL and Redis (`benchmarks.visitor`); the older one
runs from its commit in this repository's history, with the packages of this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.pictures import ROOT
from benchmarks.registry import Row, UnmeasurableError, benchmark
from benchmarks.timing import row

#: The last commit of version 0.1.0; BENCH_AGAINST names another.
COMMIT = os.environ.get("BENCH_AGAINST", "3dd924b9481d5f49d03c3ee2c076d99bf241ca2e")
STUDIES = int(os.environ.get("BENCH_STUDIES", "5000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))
#: Requests of each version in one round, of which the median counts.
IN_A_ROUND = 5
#: A third off.
AT_MOST = 0.67


@benchmark("portal against 0.1.0")
def versus() -> Iterable[Row]:
    """Rows of both versions, and the ratio of the two, round by round."""
    with ExitStack() as stack:
        before = stack.enter_context(_visitor(stack.enter_context(_checked_out(COMMIT))))
        now = stack.enter_context(_visitor(ROOT))
        names = before.names
        times: dict[str, list[list[float]]] = {name: [[], []] for name in names}
        calls = {}
        for _ in range(ROUNDS):
            for name in names:
                answers = [visitor.visit(name, IN_A_ROUND) for visitor in (before, now)]
                calls[name] = [answer["calls"] for answer in answers]
                for values, answer in zip(times[name], answers, strict=True):
                    values.append(median(answer["milliseconds"]))
        references = [median(values) for values in times[names[0]]]
        for name, (old, new) in times.items():
            yield row(f"{name}, 0.1.0", old)
            yield row(f"{name}, now", new)
            if name == names[0]:
                continue
            for version, values, unit in zip(("0.1.0", "now"), (old, new), references, strict=True):
                yield row(f"  in references, {version}", [value / unit for value in values], "times")
            ratios = [after / earlier for after, earlier in zip(new, old, strict=True)]
            yield row("  now / 0.1.0", ratios, "", at_most=AT_MOST)
            yield row("  Python calls, now / 0.1.0", [calls[name][1] / calls[name][0]], "")


class _Visitor:
    """A process of ``benchmarks.visitor``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.names: list[str] = self._answer()

    def visit(self, name: str, rounds: int) -> dict[str, Any]:
        """Milliseconds and calls of one kind of request."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name} {rounds}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = self._answer()
        return answer

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise UnmeasurableError("one of the two versions could not be visited; its output says why")
        return json.loads(line)


@contextmanager
def _visitor(folder: Path) -> Iterator[_Visitor]:
    """A visitor of the portal in this folder; it ends when its input does."""
    with subprocess.Popen(
        # Its modules are those of the folder, not those beside the script.
        [sys.executable, "-P", str(ROOT / "benchmarks" / "visitor.py"), str(STUDIES)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield _Visitor(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)


@contextmanager
def _checked_out(commit: str) -> Iterator[Path]:
    """The files of a commit in a folder of their own."""
    done = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)  # noqa: S607  git of whoever measures
    if done.returncode:
        raise UnmeasurableError(f"git knows no {commit} here: {done.stderr.decode().strip()}")
    with TemporaryDirectory(prefix="xray-earlier-") as name:
        folder = Path(name)
        # Servers that refuse to run as root run as another user, who must be able to enter.
        folder.chmod(0o755)
        with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield folder
