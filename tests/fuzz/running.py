"""The loop that damages files, hands them to what is tried, watches its process and counts."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic
from types import TracebackType
from typing import Protocol, Self

from tests.fuzz.damage import damaged

MOST_SECONDS = 5.0
MOST_BYTES = 10**9


class FailedError(Exception):
    """A file that did harm; ``str(error)`` says which."""


class Subject(Protocol):
    """What is tried: it takes files in a process of its own. A context manager, which ends that."""

    #: Sound files by name.
    sources: Mapping[str, bytes]

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    def pid(self) -> int | None:
        """The number of its process."""

    def take(self, name: str, data: bytes) -> str:
        """Take a damaged copy of the source ``name``: what became of it. Raises `FailedError`."""

    def restart(self) -> None:
        """Another process: the most that one ever held of memory stays with it."""


@dataclass
class Tally:
    """What became of the files: how many were read or refused by kind, and which failed."""

    files: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    largest: int = 0

    def lines(self) -> list[str]:
        """The result for people."""
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.outcomes.most_common())
        return [
            f"{self.files:,} files: {kinds}",
            f"slowest {self.slowest:.2f} s, most memory {self.largest / 1e6:,.0f} MB",
            f"{len(self.failures)} failures",
            *self.failures,
        ]


def fuzz(subject: Subject, seconds: float, seed: int, kept: Path, most_files: int = sys.maxsize) -> Tally:
    """Try damaged files for ``seconds``; those that fail are written into the folder ``kept``."""
    random = Random(seed)  # noqa: S311  to be repeated, not to be secret
    names, others = list(subject.sources), list(subject.sources.values())
    tally = Tally()
    end = monotonic() + seconds
    with subject:
        while monotonic() < end and tally.files < most_files:
            name = random.choice(names)
            data = damaged(random, subject.sources[name], others)
            tally.files += 1
            try:
                _try(subject, name, data, tally)
            except FailedError as problem:
                file = kept / f"{hashlib.sha256(data).hexdigest()[:16]}.bin"
                kept.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
                tally.failures.append(f"{problem}: {file} (from {name})")
    return tally


def _try(subject: Subject, name: str, data: bytes, tally: Tally) -> None:
    started = monotonic()
    outcome = "failed"
    try:
        outcome = subject.take(name, data)
    finally:
        tally.outcomes[outcome] += 1
        tally.slowest = max(tally.slowest, monotonic() - started)
    memory = _most_memory(subject.pid)
    tally.largest = max(tally.largest, memory)
    if memory > MOST_BYTES:
        subject.restart()
        raise FailedError(f"{memory / 1e6:,.0f} MB")


def _most_memory(pid: int | None) -> int:
    """The most memory that the process ever held, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
