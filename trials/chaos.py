"""A day of faults in minutes: pictures are sent while everything that can end, freeze or fill up does so.

Starts a whole portal as ``make up`` does, in a folder, on a port and with servers of its own, and sends
pictures as a person's browser would, until each is taken. Meanwhile processes are killed, Redis is wiped,
PostgreSQL is stopped in three ways, a worker is frozen, and the file storage is read-only, full and away. At
the end every picture that was taken has exactly one result, damaged ones say why they have none, rows and
files agree both ways, and the audit chains are whole; else the exit status is 1. Reported is how long after
each fault a new result came.

Read-only and full need root, for a small file system in memory; without it they are left out, and it says so.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trials.agreement import Agreement, agreement_of, results_of
from trials.clinic import CLINIC
from trials.drawing import damaged, drawn
from trials.faults import faults, point
from trials.portal import START_SECONDS, Portal
from trials.visitor import Visitor
from xrayportal.embedded.ports import choose_port
from xrayportal.embedded.processes import wait_until

ROOT = Path(__file__).resolve().parent.parent
#: A file system in memory that a fault can fill without harming the machine.
STORAGE_MEGABYTES = 512
RECOVERY_SECONDS, END_SECONDS = 120, 600


class Sender(threading.Thread):
    """Sends pictures one after the other; what is not answered is sent again with the same key."""

    def __init__(self, portal: Portal, count: int, seconds: float) -> None:
        super().__init__(name="sender", daemon=True)
        self._portal = portal
        self._count = count
        self._pause = seconds / count
        self._visitor: Visitor | None = None
        self.refusals: list[str] = []
        #: Set when no fault is left: until then pictures come, also more than were asked for.
        self.may_end = threading.Event()

    def run(self) -> None:
        for number in itertools.count():
            if number >= self._count and self.may_end.is_set():
                return
            began = time.monotonic()
            content = damaged(number) if number % 50 == 49 else drawn(number)
            self._insist(f"picture-{number}.jpg", content)
            time.sleep(max(0.0, self._pause - (time.monotonic() - began)))

    def _insist(self, name: str, content: bytes) -> None:
        submission: dict[str, Any] | None = None
        while name not in self._portal.taken:
            try:
                self._visitor = self._visitor or self._portal.visitor()
                submission = submission or self._visitor.begin(CLINIC, 1)
                answer = self._visitor.put(submission, name, content, key=name)
                self._visitor.finish(submission)
                self._portal.taken[name] = str(answer["outcome"])
            except urllib.error.HTTPError as error:
                if error.code < 500 and error.code != 429:
                    self.refusals.append(f"{name}: {error.code}")
                    self._visitor = submission = None
                time.sleep(0.3)
            except (OSError, http.client.HTTPException, RuntimeError, ValueError):
                time.sleep(0.3)


def main() -> int:
    """Run the trial; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m trials.chaos", description=__doc__)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2, help="how often each fault happens")
    parser.add_argument("--faults", type=int, help="only the first so many of them")
    parser.add_argument("--pause", type=float, default=12.0, help="seconds of sending for each fault")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xray-chaos-") as folder:
        Path(folder).chmod(0o711)
        portal = Portal(Path(folder) / "var", choose_port())
        with _storage(portal):
            try:
                portal.start()
                return _run(portal, options)
            finally:
                portal.stop()


def _run(portal: Portal, options: argparse.Namespace) -> int:
    portal.make_clinic()
    chosen = list(faults(portal).items()) * options.rounds
    random.Random(options.seed).shuffle(chosen)  # noqa: S311  an order, no secret
    chosen = chosen[: options.faults]
    # The faults spread over the sending; each takes the time until the portal is well again besides.
    sender = Sender(portal, options.pictures, options.pause * len(chosen))
    began = time.monotonic()
    sender.start()
    wait_until(lambda: len(portal.taken) >= min(5, options.pictures), seconds=START_SECONDS)
    worst: dict[str, float] = {}
    deaths: list[tuple[str, float]] = []
    for name, act in chosen:
        if "worker" in name:
            deaths.append((name, time.time()))
        act()
        seconds = _recovery(portal)
        worst[name] = max(worst.get(name, 0.0), seconds)
        print(f"{seconds:6.1f} s until the next result: {name}", flush=True)
        time.sleep(random.uniform(0.5, 3))  # noqa: S311  not regular, no secret
    sender.may_end.set()
    sender.join()
    print(f"{len(portal.taken)} pictures were taken in {time.monotonic() - began:.0f} s", flush=True)
    if not wait_until(
        lambda: agreement_of(portal.database, portal.media).is_complete, seconds=END_SECONDS, pause=2
    ):
        print("not everything has settled", flush=True)
    # Asked now: the next result mostly comes before a lease runs out. The next death may hide an earlier one.
    done = results_of(portal.database)
    noticed: dict[str, float] = {}
    for (name, at), (_next, end) in itertools.pairwise([*deaths, ("", time.time())]):
        if (delay := done.requeued_between(at, end)) is not None:
            noticed[name] = max(noticed.get(name, 0.0), delay)
    return _report(portal, sender, agreement_of(portal.database, portal.media), worst, noticed)


def _report(
    portal: Portal, sender: Sender, found: Agreement, worst: dict[str, float], noticed: dict[str, float]
) -> int:
    accepted = sum(outcome == "accepted" for outcome in portal.taken.values())
    print(f"\n{'recovery, worst':42} seconds")
    for name, seconds in sorted(worst.items(), key=lambda item: -item[1]):
        print(f"{name:42} {seconds:6.1f}")
    if noticed:
        print("\nwork of a dead worker taken back, worst    seconds")
    for name, seconds in sorted(noticed.items(), key=lambda item: -item[1]):
        print(f"{name:42} {seconds:6.1f}")
    chains = portal.manage("verify_audit")
    problems = found.problems(accepted)
    problems += [f"refused without a reason: {', '.join(sender.refusals[:5])}"] if sender.refusals else []
    problems += ["a recovery took too long"] if max(worst.values()) >= RECOVERY_SECONDS else []
    print(f"\n{found}\n{chains.strip()}")
    for problem in problems:
        print(f"PROBLEM: {problem}")
    if not problems:
        print("Nothing was lost, doubled or stuck.")
    return 1 if problems else 0


def _recovery(portal: Portal) -> float:
    """Seconds until the portal is well and a picture that is sent now has its result."""
    began = time.monotonic()
    before = _succeeded(portal)

    def is_back() -> bool:
        now = _succeeded(portal)
        return before is not None and now is not None and now > before and portal.is_well()

    while before is None and time.monotonic() - began < RECOVERY_SECONDS:
        time.sleep(0.2)
        before = _succeeded(portal)
    wait_until(is_back, seconds=RECOVERY_SECONDS, pause=0.2)
    return time.monotonic() - began


def _succeeded(portal: Portal) -> int | None:
    try:
        return results_of(portal.database).succeeded
    except Exception:  # noqa: BLE001  the database is what was stopped
        return None


@contextlib.contextmanager
def _storage(portal: Portal) -> Iterator[None]:
    """A file system for the files alone, where this machine lets us mount one."""
    folder = portal.media.parent
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={STORAGE_MEGABYTES}m,mode=0700", "tmpfs", str(folder)]
    with contextlib.suppress(FileNotFoundError):
        portal.is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    if not portal.is_mounted:
        print("No file system can be mounted here: a full and a read-only storage are left out.", flush=True)
    (folder / "real").mkdir()
    (folder / "a-file").touch()
    point(portal.media, "real")
    try:
        yield
    finally:
        if portal.is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)


if __name__ == "__main__":
    sys.exit(main())
