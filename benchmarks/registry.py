"""The registry of benchmarks, and the rows that they yield."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

Run = Callable[[], "Iterable[Row]"]

#: Every benchmark by group, in the order in which their modules were imported.
BENCHMARKS: dict[str, Run] = {}
#: Variables of the process that a group is measured in, beside those of the person.
ENVIRONMENTS: dict[str, dict[str, str]] = {}

#: One thread for NumPy's matrix products, as the Celery worker and the command line set it: others spin
#: through the next pass. `OPENBLAS_NUM_THREADS=4 python -m benchmarks` shows what that costs.
AS_A_WORKER = {"OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure: the median and the 95th percentile of ``n`` values in ``unit``.

    ``expected`` says what the project promises, ``kept`` whether this run kept it (``None``: no promise).
    """

    what: str
    unit: str
    n: int
    median: float
    p95: float
    expected: str = ""
    kept: bool | None = None


class UnmeasurableError(Exception):
    """A group that cannot be measured here; ``str(error)`` says why."""


def benchmark(group: str, **environment: str) -> Callable[[Run], Run]:
    """Register a function without arguments that measures and yields the rows of ``group``.

    ``environment`` are variables that must be set before the process imports anything.
    """

    def register(run: Run) -> Run:
        if group in BENCHMARKS:
            raise ValueError(f"there are two benchmarks of the group {group!r}")
        BENCHMARKS[group], ENVIRONMENTS[group] = run, environment
        return run

    return register
