"""What several tests of the scorecard ask for."""

from __future__ import annotations

import pytest

from xrayportal.reviews.scorecard import card, statistics


@pytest.fixture
def few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of any number of cases: for tests that work a handful out by hand."""
    monkeypatch.setattr(statistics, "LEAST_CASES", 1)
    monkeypatch.setattr(card, "LEAST_CALIBRATED", 1)
