"""``python -m tests.fuzz [--seconds N] [--seed N]``: damaged files for the decoders, counted.

Each file is decoded in the child that workers use, which is watched: a decoder that ends its process, takes
more than 5 seconds or more than 1 GB of memory has failed, and the file is kept. The same seed gives the
same files.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic

from inference_worker.decode.isolated import TOO_SLOW, DecodeProcess
from inference_worker.decode.limits import Limits
from inference_worker.types import UnreadableError
from tests.fuzz.damage import damaged
from tests.fuzz.seeds import seeds

MOST_SECONDS = 5.0
MOST_BYTES = 10**9


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


def fuzz(seconds: float, seed: int, kept: Path, most_files: int = sys.maxsize) -> Tally:
    """Decode damaged files for ``seconds``; those that fail are written into the folder ``kept``."""
    random = Random(seed)  # noqa: S311  to be repeated, not to be secret
    sources = seeds()
    names, others = list(sources), list(sources.values())
    tally = Tally()
    end = monotonic() + seconds
    with DecodeProcess(Limits(seconds=MOST_SECONDS)) as process:
        process.start()
        while monotonic() < end and tally.files < most_files:
            name = random.choice(names)
            data = damaged(random, sources[name], others)
            problem = _decode(process, data, tally)
            tally.files += 1
            if problem:
                file = kept / f"{hashlib.sha256(data).hexdigest()[:16]}.bin"
                kept.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
                tally.failures.append(f"{problem}: {file} (from {name})")
    return tally


def _decode(process: DecodeProcess, data: bytes, tally: Tally) -> str:
    """Decode one file; what went wrong, or nothing."""
    before, started = process.pid, monotonic()
    try:
        process.decode(data)
        outcome = "read"
    except UnreadableError as error:
        outcome = error.kind
    tally.outcomes[outcome] += 1
    tally.slowest = max(tally.slowest, monotonic() - started)
    if outcome == TOO_SLOW:
        return f"more than {MOST_SECONDS:g} s"
    if process.pid != before:
        return "ended its process"
    memory = _most_memory(process.pid)
    tally.largest = max(tally.largest, memory)
    if memory > MOST_BYTES:
        process.end()  # what is the most of a process stays with it
        process.start()
        return f"{memory / 1e6:,.0f} MB"
    return ""


def _most_memory(pid: int | None) -> int:
    """The most memory that the process ever held, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> int:
    """Exit status 1 if any file failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    default = Path(os.environ.get("VAR_DIR") or "var") / "fuzz"
    parser.add_argument("--kept", type=Path, default=default, help="folder of files that fail: %(default)s")
    options = parser.parse_args()
    seed = int.from_bytes(os.urandom(4), "big") if options.seed is None else options.seed
    sys.stdout.write(f"seed {seed}, {options.seconds:g} s\n")
    sys.stdout.flush()
    tally = fuzz(options.seconds, seed, options.kept)
    sys.stdout.write("\n".join(tally.lines()) + "\n")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
