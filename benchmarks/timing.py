"""Measuring time: rivals in turns, medians and ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

import numpy as np

from benchmarks.registry import Row


def in_turns(
    rivals: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3
) -> dict[str, list[float]]:
    """Milliseconds of each rival in ``rounds`` rounds in which every one has its turn.

    Because they take turns, other load of the machine slows all of them alike.
    """
    for run in rivals.values():
        for _ in range(warm_up):
            run()
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, run in rivals.items():
            start = perf_counter()
            run()
            times[name].append((perf_counter() - start) * 1000)
    return times


def row(
    what: str,
    values: Sequence[float],
    unit: str = "ms",
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    p95_at_most: float | None = None,
) -> Row:
    """The row of ``values``, its median (or 95th percentile) held against a promise if there is one."""
    median, p95 = float(np.median(values)), float(np.percentile(values, 95))
    expected, kept = "", None
    if at_most is not None:
        expected, kept = f"≤ {at_most:g}", median <= at_most
    if at_least is not None:
        expected, kept = f"≥ {at_least:g}", median >= at_least
    if p95_at_most is not None:
        expected, kept = f"p95 ≤ {p95_at_most:g}", p95 <= p95_at_most
    return Row(what, unit, len(values), median, p95, expected, kept)


def ratios(slower: Sequence[float], faster: Sequence[float]) -> list[float]:
    """Ratio of the two in each round."""
    return [a / b for a, b in zip(slower, faster, strict=True)]
