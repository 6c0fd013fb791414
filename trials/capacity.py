"""How many workers a load needs: a simulation of the queue that is held against a measured case first.

1. A portal of its own analyses as fast as it can with one worker: that gives its pace.
2. Studies come at random moments, at ``--load`` of that pace, and the real worker takes them: real waits.
3. The simulation gets the same moments, the seconds of each study, and the medians of two delays that were
   measured: until an idle worker notices, and between two claims. It must give about the same waits.
4. Only then it is asked how many workers ``--per-day`` pictures a day need in their busiest hour.
"""

from __future__ import annotations

import argparse
import heapq
import math
import os
import random
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from benchmarks.pictures import ordinary
from benchmarks.processes import process, wait_for_workers
from benchmarks.scratch import manage, scratch_portal

#: Of a day's pictures so many come in its busiest hour: two and a half times the mean.
BUSIEST_HOUR = 2.5 / 24
#: Analyses that a worker claims at once (XRAY_BATCH).
BATCH = 4
#: What people should wait at most, 95 of 100 times.
WAIT_SECONDS = 10.0
SLUG = "throughput"


@dataclass(frozen=True)
class Case:
    """What was measured, in seconds and in the order of the arrivals."""

    arrivals: list[float]
    services: list[float]
    waits: list[float]
    #: Until an idle worker has claimed what has come; and from the end of a batch to the next claim.
    wake: float
    between: float


def simulate(
    arrivals: Sequence[float], services: Sequence[float], workers: int, wake: float, between: float
) -> list[float]:
    """Seconds from each arrival until a worker claims it.

    A worker that is free claims up to `BATCH` of those that wait, the oldest first, and works on one after
    the other. ``arrivals`` are in order.
    """
    waits: list[float] = []
    free = [0.0] * workers
    heapq.heapify(free)
    taken = 0
    while taken < len(arrivals):
        start = max(heapq.heappop(free), arrivals[taken] + wake)
        end = taken
        while end < len(arrivals) and end < taken + BATCH and arrivals[end] <= start:
            waits.append(start - arrivals[end])
            end += 1
        heapq.heappush(free, start + sum(services[taken:end]) + between)
        taken = end
    return waits


def workers_needed(per_second: float, case: Case, seed: int = 1) -> tuple[int, float]:
    """The fewest workers that keep the 95th percentile of an hour's waits below `WAIT_SECONDS`, and that."""
    chance = random.Random(seed)  # noqa: S311  no secret
    arrivals = _arrivals(per_second, int(per_second * 3600), chance)
    services = chance.choices(case.services, k=len(arrivals))
    workers = max(1, math.ceil(per_second * float(np.mean(services))))
    while True:
        p95 = float(np.percentile(simulate(arrivals, services, workers, case.wake, case.between), 95))
        if p95 <= WAIT_SECONDS:
            return workers, p95
        workers += 1


def main() -> int:
    """Exit status 0, or 1 where the simulation does not reproduce what was measured."""
    parser = argparse.ArgumentParser(prog="python -m trials.capacity", description=__doc__)
    parser.add_argument("--pictures", type=int, default=150)
    parser.add_argument("--load", type=float, default=0.7, help="of what one worker can do")
    parser.add_argument("--per-day", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    options = parser.parse_args()
    case = _measure(options.pictures, options.load)
    simulated = simulate(case.arrivals, case.services, 1, case.wake, case.between)
    print(f"an idle worker notices after {case.wake:.3f} s; {case.between:.3f} s between two claims")
    print(f"\n{'wait until claimed':<22}{'median':>10}{'95 %':>10}{'mean':>10}")
    for name, waits in (("measured", case.waits), ("simulated", simulated)):
        print(f"{name:<22}{_figures(waits)}")
    off = abs(float(np.mean(simulated)) - float(np.mean(case.waits)))
    allowed = max(0.1, 0.25 * float(np.mean(case.waits)))
    print(f"the means differ by {off:.3f} s ({allowed:.3f} s are allowed)\n")
    if off > allowed:
        return 1
    mean = float(np.mean(case.services)) + case.between / BATCH
    print(f"one worker: {1 / mean:.1f} pictures a second")
    print(f"{'pictures a day':>16}{'busiest hour':>16}{'workers':>10}{'95 % wait':>12}")
    for per_day in options.per_day:
        per_second = per_day * BUSIEST_HOUR / 3600
        workers, p95 = workers_needed(per_second, case)
        print(f"{per_day:>16,}{per_second:>13.2f} /s{workers:>10}{p95:>10.1f} s")
    return 0


def _arrivals(per_second: float, count: int, chance: random.Random) -> list[float]:
    moment, moments = 0.0, []
    for _ in range(count):
        moment += chance.expovariate(per_second)
        moments.append(moment)
    return moments


def _figures(waits: Sequence[float]) -> str:
    values = (np.median(waits), np.percentile(waits, 95), np.mean(waits))
    return "".join(f"{value:>8.3f} s" for value in values)


def _measure(count: int, load: float) -> Case:
    """A real worker under this load."""
    with scratch_portal() as environment, ExitStack() as stack:
        os.environ.update(environment)
        import django

        django.setup()
        manage(environment, "create_clinic", "--blind-reading", "no", "--name", "Throughput", "--slug", SLUG)
        from benchmarks.throughput import analyse, ingest
        from xrayportal.analyses.models import Analysis
        from xrayportal.analyses.services import request_analysis

        studies = ingest(ordinary(count)[0])
        stack.enter_context(process(environment, "worker"))
        wait_for_workers()
        rate = analyse(studies[: max(20, count // 4)])
        print(f"one worker as fast as it can: {rate:.1f} pictures a second", flush=True)
        moments = _arrivals(rate * load, len(studies), random.Random(7))  # noqa: S311  no secret
        begun, wanted = time.monotonic(), []
        for moment, study in zip(moments, studies, strict=True):
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            wanted.append(request_analysis(study=study, queue="bulk").pk)
        while Analysis.objects.unfinished().exists():
            time.sleep(0.2)
        rows = list(Analysis.objects.filter(pk__in=wanted).order_by("requested_at"))
    return _case(rows)


def _case(rows: Sequence[Any]) -> Case:
    first = rows[0].requested_at
    services, idle, gaps, last = {}, [0.0], [0.0], rows[0].started_at
    # A claim's studies start together and are worked on one after the other; results are stored together.
    for finished_at, stored in groupby(
        sorted(rows, key=lambda row: row.finished_at), lambda row: row.finished_at
    ):
        together = list(stored)
        begun = min(row.started_at for row in together)
        for row in together:
            services[row.pk] = (finished_at - max(begun, last)).total_seconds() / len(together)
        if begun > last:  # the first of a batch
            requested = min(row.requested_at for row in together)
            (gaps if requested < last else idle).append((begun - max(last, requested)).total_seconds())
        last = finished_at
    return Case(
        arrivals=[(row.requested_at - first).total_seconds() for row in rows],
        services=[services[row.pk] for row in rows],
        waits=[max(0.0, (row.started_at - row.requested_at).total_seconds()) for row in rows],
        wake=float(np.median(idle)),
        between=float(np.median(gaps)),
    )


if __name__ == "__main__":
    sys.exit(main())
