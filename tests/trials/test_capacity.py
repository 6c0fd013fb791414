"""The simulation of the queue: a worker claims what waits, four at a time, and does one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from trials.capacity import WAIT_SECONDS, Case, simulate, workers_needed


def case(seconds: float) -> Case:
    """Studies that all take so long, without delays."""
    return Case(arrivals=[], services=[seconds], waits=[], wake=0.0, between=0.0)


def test_a_batch_is_claimed_together_and_the_fifth_waits_for_all_of_it() -> None:
    assert simulate([0.0] * 5, [1.0] * 5, workers=1, wake=0.0, between=0.0) == [0, 0, 0, 0, 4]


def test_what_comes_while_a_worker_works_waits_for_the_end_of_its_batch() -> None:
    assert simulate([0.0, 0.5, 5.0], [2.0] * 3, workers=1, wake=0.0, between=0.0) == [0, 1.5, 0]


def test_both_delays_count_where_they_happen() -> None:
    waits = simulate([0.0, 0.5, 5.0], [2.0] * 3, workers=1, wake=0.1, between=0.3)
    assert waits == pytest.approx([0.1, 1.9, 0.1])


def test_a_second_worker_takes_what_the_first_did_not_claim() -> None:
    assert simulate([0.0] * 5, [1.0] * 5, workers=2, wake=0.0, between=0.0) == [0] * 5


def test_waits_are_those_of_theory_where_batches_do_not_matter() -> None:
    """At a tenth of its pace a worker hardly ever finds two: an M/D/1 queue, with load / 2 (1 - load)."""
    moments = np.cumsum(np.random.default_rng(3).exponential(10.0, 60_000)).tolist()
    waits = simulate(moments, [1.0] * len(moments), workers=1, wake=0.0, between=0.0)
    assert float(np.mean(waits)) == pytest.approx(0.1 / (2 * 0.9), rel=0.1)


def test_more_load_needs_more_workers_and_just_enough() -> None:
    needed = [workers_needed(per_second, case(0.3)) for per_second in (1.0, 10.0, 30.0)]
    assert [workers for workers, _ in needed] == sorted({workers for workers, _ in needed})
    for per_second, (workers, p95) in zip((1.0, 10.0, 30.0), needed, strict=True):
        assert p95 <= WAIT_SECONDS
        assert workers >= per_second * 0.3
