"""A clinic with made-up studies, by the same command that the benchmarks use."""

from __future__ import annotations

import pytest

from tests.house import House
from xrayportal.operations.seeding.seed import seed_studies


@pytest.fixture
def full(house: House) -> House:
    """The house with 120 studies, some of which wait."""
    seed_studies(clinic=house.clinic, studies=120, days=30, waiting=5, seed=1, force=False)
    return house
