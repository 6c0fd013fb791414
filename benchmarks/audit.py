"""Audit events a second: one chain and several, with one writer and with many at once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.registry import Row, benchmark
from benchmarks.scratch import scratch_portal
from benchmarks.timing import row

if TYPE_CHECKING:
    from xrayportal.clinics.models import Clinic

#: Seconds of each round, and how many there are.
SECONDS = float(os.environ.get("BENCH_AUDIT_SECONDS", "3"))
ROUNDS = 5
WRITERS = 8


@benchmark("audit")
def audit() -> Iterable[Row]:
    with scratch_portal() as environment:
        os.environ.update(environment)
        import django

        django.setup()
        from xrayportal.audit.services import verify
        from xrayportal.clinics.models import Clinic

        clinics = [Clinic.objects.create(slug=f"c{n}", name=f"Clinic {n}") for n in range(WRITERS)]
        yield row("one writer, one chain", _rates(clinics[:1], writers=1), "events/s")
        yield row(f"{WRITERS} writers, one chain", _rates(clinics[:1], writers=WRITERS), "events/s")
        yield row(f"{WRITERS} writers, a chain each", _rates(clinics, writers=WRITERS), "events/s")
        start = time.perf_counter()
        state = verify(clinic=clinics[0])
        assert state.is_whole
        yield row("verify", [state.length / (time.perf_counter() - start)], "events/s")


def _rates(clinics: list[Clinic], *, writers: int) -> list[float]:
    """Events a second, committed one by one as requests do, in each round."""
    from django.db import connections, transaction

    from xrayportal.audit.models import Action
    from xrayportal.audit.services import record

    def write(number: int) -> int:
        clinic, written = clinics[number % len(clinics)], 0
        end = time.perf_counter() + SECONDS
        try:
            while time.perf_counter() < end:
                with transaction.atomic():
                    record(clinic=clinic, action=Action.EXPORTED, detail={"n": written})
                written += 1
        finally:
            connections.close_all()
        return written

    with ThreadPoolExecutor(writers) as pool:
        return [sum(pool.map(write, range(writers))) / SECONDS for _ in range(ROUNDS)]
