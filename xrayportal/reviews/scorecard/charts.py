"""The marks of a chart and their coordinates, which templates draw; with a decimal point in any language."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from django.utils.formats import date_format, number_format
from django.utils.translation import get_language, gettext

from xrayportal.reviews.scorecard.statistics import Calibration, Figure, enough

#: The plot inside the viewBox of ``scorecard/_weekly.html``, in SVG units: about a pixel on a phone.
LEFT, RIGHT, TOP, BOTTOM = 36.0, 312.0, 12.0, 140.0
#: The plot inside the viewBox of ``scorecard/_reliability.html``.
SQUARE_LEFT, SQUARE_RIGHT, SQUARE_TOP, SQUARE_BOTTOM = 40.0, 286.0, 12.0, 258.0


def _day(day: dt.date) -> str:
    return _written_day(day, get_language() or "")


@lru_cache(maxsize=500)
def _written_day(day: dt.date, language: str) -> str:
    """A page shows the same weeks in every chart."""
    return date_format(day, gettext("j M Y"))


def at(value: float) -> str:
    """A coordinate as SVG takes it."""
    return f"{value:.1f}"


def number(value: float, places: int = 2) -> str:
    """A number in the active language."""
    # Rounded first: Django would cut a float off.
    return _written(f"{value:.{places}f}", places, get_language() or "")


@lru_cache(maxsize=2000)
def _written(digits: str, places: int, language: str) -> str:
    """A page shows thousands of numbers, and few different ones."""
    return str(number_format(Decimal(digits), decimal_pos=places))


def percent(value: float) -> str:
    """A share as whole per cent."""
    return f"{number(100 * value, 0)} %"


@dataclass(frozen=True)
class Interval:
    """A value with its interval: in words, and as positions on a scale to 1 in per cent of the width."""

    value: str
    low: str
    high: str
    n: int
    x: str
    x_low: str
    width: str
    x_zero: str

    @classmethod
    def of(cls, share: Figure | None, *, lowest: float = 0.0) -> Interval | None:
        """The interval of a share on the scale from ``lowest`` to 1; None for None: there is no case."""
        if share is None:
            return None

        def position(value: float) -> float:
            return 100 * (max(lowest, value) - lowest) / (1 - lowest)

        return cls(
            value=number(share.value),
            low=number(share.low),
            high=number(share.high),
            n=share.n,
            x=at(position(share.value)),
            x_low=at(position(share.low)),
            width=at(max(0.6, position(share.high) - position(share.low))),
            x_zero=at(position(0.0)),
        )


@dataclass(frozen=True)
class Tick:
    """A line of the grid and its words."""

    place: str
    words: str


@dataclass(frozen=True)
class Point:
    """A mark with its interval."""

    x: str
    y: str
    y_low: str
    y_high: str
    words: str


@dataclass(frozen=True)
class Row:
    """The figures of a mark, for the table beneath the chart."""

    label: str
    value: str
    low: str
    high: str
    n: str


@dataclass(frozen=True)
class Weekly:
    """A line over weeks with its interval as a band; the newest value is written at its end."""

    title: str
    points: list[Point]
    line: str
    band: str
    rows_up: list[Tick]
    columns: list[Tick]
    rows: list[Row]

    @property
    def newest(self) -> Point:
        """The point that carries the label."""
        return self.points[-1]


@dataclass(frozen=True)
class Sample:
    """One week's value with its interval."""

    monday: dt.date
    value: float
    low: float
    high: float
    n: int


def weekly(
    title: str, samples: Sequence[Sample], *, write: Callable[[float], str], top: float | None = None
) -> Weekly | None:
    """A chart from zero to ``top`` (by default a round number above the highest); None for fewer than two."""
    if len(samples) < 2:
        return None
    highest = top or nice(max(sample.high for sample in samples))
    first, last = samples[0].monday, samples[-1].monday
    days = (last - first).days

    def x(day: dt.date) -> float:
        return LEFT + (RIGHT - LEFT) * (day - first).days / days

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * min(1.0, value / highest)

    points = [
        Point(at(x(s.monday)), at(y(s.value)), at(y(s.low)), at(y(s.high)), write(s.value)) for s in samples
    ]
    upper = " ".join(f"{p.x},{p.y_high}" for p in points)
    lower = " ".join(f"{p.x},{p.y_low}" for p in reversed(points))
    return Weekly(
        title=title,
        points=points,
        line=" ".join(f"{p.x},{p.y}" for p in points),
        band=f"{upper} {lower}",
        rows_up=[Tick(at(y(highest * share)), write(highest * share)) for share in (0.0, 0.5, 1.0)],
        columns=[Tick(at(x(day)), _day(day)) for day in (first, last)],
        rows=[Row(_day(s.monday), write(s.value), write(s.low), write(s.high), str(s.n)) for s in samples],
    )


def nice(value: float) -> float:
    """The next higher of 1, 2, 2.5 and 5 times a power of ten; 1 for zero and below."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= value * (1 - 1e-9))


@dataclass(frozen=True)
class Reliability:
    """Observed shares against predicted probabilities; the diagonal is a perfect calibration."""

    points: list[Point]
    columns: list[Tick]
    rows_up: list[Tick]
    rows: list[Row]


def reliability(calibration: Calibration) -> Reliability | None:
    """The calibration's bins as points, those with enough cases; None for fewer than two."""
    bins = [one for one in calibration.bins if enough(one.observed)]
    if len(bins) < 2:
        return None

    def x(value: float) -> float:
        return SQUARE_LEFT + (SQUARE_RIGHT - SQUARE_LEFT) * value

    def y(value: float) -> float:
        return SQUARE_BOTTOM - (SQUARE_BOTTOM - SQUARE_TOP) * value

    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    return Reliability(
        points=[
            Point(
                at(x(b.predicted)),
                at(y(b.observed.value)),
                at(y(b.observed.low)),
                at(y(b.observed.high)),
                number(b.observed.value),
            )
            for b in bins
        ],
        columns=[Tick(at(x(share)), number(share)) for share in shares],
        rows_up=[Tick(at(y(share)), number(share)) for share in shares],
        rows=[
            Row(
                number(b.predicted),
                number(b.observed.value),
                number(b.observed.low),
                number(b.observed.high),
                str(b.observed.n),
            )
            for b in bins
        ],
    )
