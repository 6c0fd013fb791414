"""No test fails because a machine is busy: none holds a clock against a bar or races the browser."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
#: What a busy machine changes; processor time (``time.process_time``) it does not.
CLOCK = re.compile(r"assert .*\btime\.(time|monotonic|perf_counter)\(\)")
#: Playwright says that this is done before it is: ``tests/network.py`` waits.
ROUTE = re.compile(r"\bpage\.route\(")


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    """The lines of tests that match, with their file and number."""
    return [
        f"{path.relative_to(TESTS)}:{number}"
        for path in sorted(TESTS.rglob("test_*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_test_asserts_seconds() -> None:
    assert lines_with(CLOCK) == []


def test_requests_are_intercepted_by_the_helper_that_waits() -> None:
    assert lines_with(ROUTE) == []
