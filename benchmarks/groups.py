"""Each group in a process of its own: what one loads burdens no other, and each can be ended at any moment.

Ctrl-C must not become an exception inside a library that computes in threads of its own: such a library may
lose it, and the measurement goes on, or crash. So the process leads a session that no terminal interrupts; it
is ended from outside, with all that it has started.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import benchmarks
from benchmarks.pictures import ROOT
from benchmarks.registry import BENCHMARKS, ENVIRONMENTS, Row, UnmeasurableError
from xrayportal.embedded.processes import Record, end, ending_with_us


def groups() -> list[str]:
    """The names of all groups."""
    for module in pkgutil.iter_modules(benchmarks.__path__):
        # `rivals` needs TensorFlow, `reference` Django's settings: the one benchmark that uses it imports it.
        if module.name not in ("__main__", "groups", "rivals", "reference", "visitor"):
            importlib.import_module(f"benchmarks.{module.name}")
    return list(BENCHMARKS)


def measure(group: str) -> Iterator[Row]:
    """The rows of a group as they come; ``UnmeasurableError`` if it cannot be measured here or fails."""
    with TemporaryDirectory(prefix="xray-bench-", ignore_cleanup_errors=True) as folder:
        # Servers that refuse to run as root run as another user, who must be able to enter.
        Path(folder).chmod(0o711)
        command = [sys.executable, "-m", "benchmarks.groups", group]
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env={**ENVIRONMENTS.get(group, {}), **os.environ, "TMPDIR": folder},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=ending_with_us(signal.SIGTERM),
        ) as process:
            with _ended_afterwards(process.pid):
                assert process.stdout is not None
                for line in process.stdout:
                    answer = json.loads(line)
                    if isinstance(answer, str):
                        raise UnmeasurableError(answer)
                    yield Row(**answer)
            if process.wait():
                raise UnmeasurableError(f"it ended with status {process.returncode}")


@contextmanager
def _ended_afterwards(pid: int) -> Iterator[None]:
    """End the process, unless it has ended by itself; a second Ctrl-C does not hinder that."""
    record = Record.of("benchmark", pid)
    try:
        yield
    finally:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        end(record, signal.SIGTERM)
        signal.signal(signal.SIGINT, before)


def _main(group: str) -> None:
    """In the process: one line of JSON for each row, or a text that says why there is none."""
    # What libraries print goes to standard error, so that the lines are ours alone.
    with os.fdopen(os.dup(1), "w", buffering=1) as lines:
        os.dup2(2, 1)
        groups()
        try:
            for row in BENCHMARKS[group]():
                lines.write(json.dumps(asdict(row)) + "\n")
        except UnmeasurableError as error:
            lines.write(json.dumps(str(error)) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1])
