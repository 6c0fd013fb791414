"""Week by week: what comes in and what the model makes of it. Needs no review."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from django.db.models import Aggregate, Count, F, FloatField

from xrayportal.analyses.models import Bundle, Finding
from xrayportal.reviews.scorecard.queries import Scope, week_of
from xrayportal.reviews.scorecard.statistics import Figure, wilson

#: The page draws so many weeks at most, the newest.
WEEKS = 52


class Percentile(Aggregate):
    """PostgreSQL's ``percentile_cont`` of a column."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()

    def __init__(self, column: str, share: float) -> None:
        super().__init__(column, share=share)


@dataclass
class Week:
    """One week's studies and views."""

    monday: dt.date
    verdicts: dict[str, int] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    #: Lower quartile, median, upper quartile of the views' distance from what the bundle was trained on.
    distance: tuple[float, float, float] | None = None
    #: The same of the views' megapixels.
    megapixels: tuple[float, float, float] | None = None

    @property
    def studies(self) -> int:
        """Analysed studies."""
        return sum(self.verdicts.values())

    @property
    def abnormal(self) -> Figure | None:
        """The share that the model calls abnormal, of those it gave an answer for."""
        answered = self.studies - self.verdicts.get("unsupported", 0)
        return wilson(self.verdicts.get("abnormal", 0), answered)

    @property
    def unsupported(self) -> Figure | None:
        """The share that the bundle does not know."""
        return wilson(self.verdicts.get("unsupported", 0), self.studies)

    def share(self, part: str) -> Figure | None:
        """The share of one body part."""
        return wilson(self.parts.get(part, 0), sum(self.parts.values()))


def weeks_of(scope: Scope, bundle: Bundle) -> list[Week]:
    """The newest weeks with studies, oldest first; two queries."""
    weeks: dict[dt.date, Week] = {}
    results = scope.results().filter(bundle=bundle)
    counts = (
        results.annotate(week=week_of(scope))
        .values_list("week", "verdict", "body_part")
        .annotate(studies=Count("pk"))
        .order_by()
    )
    for at, verdict, part, studies in counts:
        week = weeks.setdefault(at.date(), Week(at.date()))
        week.verdicts[verdict] = week.verdicts.get(verdict, 0) + studies
        if part:
            week.parts[part] = week.parts.get(part, 0) + studies
    kept = sorted(weeks.values(), key=lambda week: week.monday)[-WEEKS:]
    if kept:
        _add_inputs(scope, bundle, {week.monday: week for week in kept})
    return kept


def _add_inputs(scope: Scope, bundle: Bundle, weeks: dict[dt.date, Week]) -> None:
    quartiles = {
        f"{column}_{index}": Percentile(column, share)
        for column in ("scope_distance", "pixels")
        for index, share in enumerate((0.25, 0.5, 0.75))
    }
    rows = (
        Finding.objects.filter(analysis__in=scope.results().filter(bundle=bundle))
        .alias(pixels=F("width") * F("height"))
        .annotate(week=week_of(scope, "analysis__study__created_at"))
        .values_list("week")
        .annotate(**quartiles)
        .order_by()
    )
    for at, *figures in rows:
        week = weeks.get(at.date())
        if week is not None:
            low, middle, high, *pixels = figures
            week.distance = (low, middle, high)
            week.megapixels = (pixels[0] / 1e6, pixels[1] / 1e6, pixels[2] / 1e6)
