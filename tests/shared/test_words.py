"""Words for figures, times and codes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone, translation

from xrayportal.analyses.queue.waiting import Waiting
from xrayportal.web.shared.status import status_of, waiting_status
from xrayportal.words import figures, verdicts


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (0.0, "0.00"),
        (0.004, "<0.01"),
        (0.01, "0.01"),
        (0.868, "0.87"),
        (0.996, ">0.99"),
        (1.0, "1.00"),
        (None, ""),
    ],
)
def test_figure_has_two_digits_and_no_false_certainty(probability: float | None, shown: str) -> None:
    assert figures.format_probability(probability) == shown


def test_figure_follows_the_language() -> None:
    with translation.override("de"):
        assert figures.format_probability(0.868) == "0,87"


@pytest.mark.parametrize(
    ("share", "shown"), [(0.86, "86 %"), (0.003, "<1 %"), (0.997, ">99 %"), (1.0, "100 %")]
)
def test_percent(share: float, shown: str) -> None:
    assert figures.percent(share) == shown


@pytest.mark.parametrize(
    ("position", "shown"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (112, "112th"), (121, "121st")],
)
def test_ordinal(position: int, shown: str) -> None:
    assert figures.ordinal(position) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.2, "5 s"), (18, "20 s"), (61, "1 min"), (5000, "83 min"), (7200, "2 h")]
)
def test_span(seconds: float, shown: str) -> None:
    assert figures.format_duration(seconds) == shown


@pytest.mark.parametrize(
    ("quick", "slow", "shown"),
    [(18, 33, "20 to 35 s"), (48, 110, "50 s to 2 min"), (5000, 7200, "83 min to 2 h"), (18, 19, "20 s")],
)
def test_range_of_spans(quick: float, slow: float, shown: str) -> None:
    assert figures.format_duration_range(quick, slow) == shown


def test_range_of_spans_in_german() -> None:
    with translation.override("de"):
        assert figures.format_duration_range(18, 33) == "20 bis 35 s"


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (timedelta(seconds=-3), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=6), "6 days ago"),
        (timedelta(days=8), "14 Nov 2026"),
    ],
)
def test_ago(age: timedelta, shown: str) -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert figures.ago(now - age, now) == shown


def test_absolute_names_the_zone() -> None:
    with timezone.override("Europe/Berlin"):
        assert (
            figures.absolute(datetime(2026, 11, 22, 20, 30, tzinfo=UTC)) == "22 November 2026, 21:30:00 CET"
        )


def test_unknown_part_is_shown_as_it_is() -> None:
    assert verdicts.body_part_word("tibia") == "Lower leg"
    assert verdicts.body_part_word("left_clavicle") == "Left clavicle"
    assert verdicts.body_part_word("") == ""


def test_status_in_words() -> None:
    assert status_of("running").words == "Analysing"
    assert status_of(None).words == "Receiving images"
    assert waiting_status(Waiting(3, 18.0, 30.0)).words == "Waiting, 3rd in the queue, about 20 s"
    assert waiting_status(Waiting(1, None, None)).words == "Waiting, 1st in the queue"


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((0.5, 0.2, 0.7), ["0.50", "0.20", "0.70"]),
        ((0.035, 0.0378, 0.86), ["0.035", "0.038", "0.860"]),
        ((0.0378, 0.0378, 0.86), ["0.04", "0.04", "0.86"]),
        ((0.0381, 0.0378, 0.86), ["0.04", "0.04", "0.86"]),
        ((0.004, 0.0078, 0.86), ["0.004", "0.008", "0.860"]),
        ((0.85999, 0.0378, 0.86), ["0.85999", "0.03780", "0.86000"]),
        ((None, 0.2, 0.7), ["", "0.20", "0.70"]),
    ],
)
def test_a_value_below_a_threshold_never_prints_as_the_threshold(
    values: tuple[float | None, float, float], shown: list[str]
) -> None:
    assert figures.format_beside(*values) == shown
