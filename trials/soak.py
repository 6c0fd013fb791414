"""Half an hour of ordinary work: pictures come, people look, and the memory of every process must stay flat.

Starts a whole portal as ``make up`` does. One person sends a picture every two seconds, others open the
worklist, studies and reports. Each process' own memory (unique set size) is noted every ten seconds.
Its slope is the median slope between any two moments of the second half, so that a step that comes once, as
when the network's library takes working memory for another thread, is no growth. A process that grows by more
than ``LIMIT`` an hour is named.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import re
import sys
import tempfile
import threading
import time
import urllib.error
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from trials.agreement import results_of
from trials.clinic import CLINIC
from trials.drawing import drawn
from trials.portal import Portal
from xrayportal.embedded.ports import choose_port
from xrayportal.embedded.processes import wait_until

#: MiB an hour, of a process; a leak of a kilobyte a request would show as ten times that.
LIMIT = 30.0
READERS, SAMPLE_SECONDS, PICTURE_SECONDS = 4, 10.0, 2.0
NAMES = ("web", "worker", "reconciler", "postgres", "redis")


class Load:
    """People at work, until ``stop``."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._stop = threading.Event()
        self.answers: Counter[int] = Counter()
        jobs = [self._send, *[self._read] * READERS]
        self._threads = [threading.Thread(target=job, daemon=True) for job in jobs]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Go home."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _send(self) -> None:
        visitor = self._portal.visitor()
        for number in itertools.count():
            visitor.send(CLINIC, [(f"{number}.jpg", drawn(number))], 1)
            if self._stop.wait(PICTURE_SECONDS):
                return

    def _read(self) -> None:
        visitor = self._portal.visitor()
        while not self._stop.is_set():
            for path in self._paths(visitor.get(f"/c/{CLINIC}/")[1].decode()):
                try:
                    self.answers[visitor.get(path)[0]] += 1
                except urllib.error.HTTPError as error:
                    self.answers[error.code] += 1
                if self._stop.wait(0.5):
                    return

    def _paths(self, worklist: str) -> Iterator[str]:
        yield f"/c/{CLINIC}/"
        yield f"/c/{CLINIC}/history/"
        yield f"/c/{CLINIC}/scorecard/"
        for study in re.findall(rf"/c/{CLINIC}/studies/[0-9a-f-]{{36}}/", worklist)[:6]:
            yield study
            yield f"{study}result/"
            yield f"{study}report.pdf"


def main() -> int:
    """Run the trial; the exit status is 1 if a process grows."""
    parser = argparse.ArgumentParser(prog="python -m trials.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xray-soak-") as folder:
        Path(folder).chmod(0o711)
        portal = Portal(Path(folder) / "var", choose_port())
        try:
            portal.start()
            portal.make_clinic()
            return _run(portal, 60 * options.minutes)
        finally:
            portal.stop()


def _run(portal: Portal, seconds: float) -> int:
    load = Load(portal)
    load.start()
    began = time.monotonic()
    samples: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    while (now := time.monotonic() - began) < seconds:
        for name, process in _processes(portal):
            with contextlib.suppress(psutil.Error):
                samples[name, process.pid].append((now, process.memory_full_info().uss / 2**20))
        time.sleep(SAMPLE_SECONDS)
    load.stop()
    wait_until(lambda: results_of(portal.database).succeeded > 0, seconds=60)
    print(f"{results_of(portal.database).succeeded} pictures analysed, answers: {dict(load.answers)}")
    print(f"{'process':34} {'begin':>7} {'end':>7} MiB, slope of the second half in MiB an hour")
    grown = []
    for (name, pid), series in sorted(samples.items()):
        second = [point for point in series if point[0] >= seconds / 2]
        if len(second) < 5:
            continue  # a process of a moment
        slope = _median_slope(np.array(second)) * 3600
        print(f"{name:26} {pid:7} {series[0][1]:7.1f} {series[-1][1]:7.1f} {slope:+8.1f}")
        if slope > LIMIT:
            grown.append(f"{name} {pid}")
    wrong = {code: count for code, count in load.answers.items() if code >= 500}
    for problem in (*(f"{each} grows" for each in grown), *([f"errors: {wrong}"] if wrong else [])):
        print(f"PROBLEM: {problem}")
    return 1 if grown or wrong else 0


def _median_slope(points: np.ndarray) -> float:
    """Theil and Sen's estimate for points ``(N, 2)`` of time and size: no single step decides it."""
    first, second = np.triu_indices(len(points), 1)
    times, sizes = (points[second] - points[first]).T
    return float(np.median(sizes / times))


def _processes(portal: Portal) -> Iterator[tuple[str, psutil.Process]]:
    for name in NAMES:
        with contextlib.suppress(psutil.Error, OSError):
            parent = psutil.Process(portal.pid(name))
            yield name, parent
            for child in parent.children(recursive=True):
                # PostgreSQL has one for each connection; those come and go.
                if name != "postgres":
                    decoder = "decode.child" in " ".join(child.cmdline())
                    yield f"{name}'s {'decoder' if decoder else 'child'}", child


if __name__ == "__main__":
    sys.exit(main())
