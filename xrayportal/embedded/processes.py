"""Child processes that end with us, and those that a killed run left behind."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG = 1
#: Ended after everything that uses them.
SERVERS = ("postgres", "redis")
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent(parent: int, number: signal.Signals) -> None:
    """Ask the kernel (Linux) to send us ``number`` when the thread that started us ends, even by ``kill -9``.

    ``parent`` is the expected parent: when it has gone before the request was made, the signal is sent at
    once. Elsewhere than on Linux nothing happens; the next start ends what was left behind.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def ending_with_us(number: signal.Signals) -> Callable[[], None]:
    """A ``preexec_fn`` for ``subprocess``: runs after the change of user, which would clear the request."""
    parent = os.getpid()
    return lambda: end_with_parent(parent, number)


@dataclass(frozen=True)
class Record:
    """A process that we started. The start time tells it from a later one with the same number."""

    name: str
    pid: int
    started: float

    @classmethod
    def of(cls, name: str, pid: int) -> Record:
        """The record of a process that runs now; ``psutil.NoSuchProcess`` when it has ended already."""
        return cls(name=name, pid=pid, started=psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process, if it is still the same one."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if same else None


class Records:
    """The processes of the present run, a file for each, for the next start to look at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, pid: int) -> None:
        """Note a process that has just been started."""
        try:
            record = Record.of(name, pid)
        except psutil.NoSuchProcess:
            return  # it has ended already: nothing can be left of it
        self.folder.mkdir(exist_ok=True)
        temporary = self.folder / f"{name}.tmp"
        temporary.write_text(json.dumps(asdict(record)))
        temporary.replace(self.folder / f"{name}.json")

    def end_leftovers(self) -> list[str]:
        """End what is still there of a run, clients before servers, and return the names.

        Call it only while holding the lock.
        """
        found = [record for path in self.folder.glob("*.json") if (record := _read(path)) is not None]
        running = [record for record in found if record.process() is not None]
        for record in sorted(running, key=lambda record: record.name in SERVERS):
            end(record, signal.SIGINT if record.name == "postgres" else signal.SIGTERM)
        self.clear()
        return [record.name for record in running]

    def clear(self) -> None:
        """Everything has ended."""
        for path in self.folder.glob("*.json"):
            path.unlink()


def _read(path: Path) -> Record | None:
    try:
        return Record(**json.loads(path.read_text()))
    except (ValueError, TypeError):
        return None  # cut short when the machine went down, and the process with it


def end(record: Record, number: signal.Signals, *, patience: float = 10.0) -> None:
    """Signal a process (with its group, if it leads one), wait up to ``patience`` seconds, then kill it."""
    process = record.process()
    if process is None:
        return
    family = [process, *process.children(recursive=True)]
    _signal(record.pid, number)
    _, alive = psutil.wait_procs(family, timeout=patience)
    for member in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(alive, timeout=5)


def _signal(pid: int, number: signal.Signals) -> None:
    """To the group, except for PostgreSQL's fast shutdown, which the postmaster passes on itself."""
    with contextlib.suppress(ProcessLookupError):
        if number != signal.SIGINT and os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def wait_until(ready: Callable[[], bool], *, seconds: float, pause: float = 0.03) -> bool:
    """Ask until the answer is yes, at most for ``seconds``; returns the last answer."""
    deadline = time.monotonic() + seconds
    while not (answer := ready()):
        if time.monotonic() > deadline:
            break
        time.sleep(pause)
    return answer
