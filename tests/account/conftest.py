"""The clock of the tests of people's accounts."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from xrayportal.clinics import second_factor


@pytest.fixture(autouse=True)
def one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step of the codes does not change between making one and giving it."""
    began = time.time()
    monkeypatch.setattr(second_factor, "time", SimpleNamespace(time=lambda: began))
