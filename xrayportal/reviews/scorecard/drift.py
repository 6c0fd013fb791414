"""Drift: the studies of each week and the model's verdicts on them. Needs no review."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from zoneinfo import ZoneInfo

from xrayportal.analyses.models import Bundle
from xrayportal.analyses.outcomes import outcome_expression
from xrayportal.reviews.scorecard.queries import Scope, room_to_group, select_from, week_of
from xrayportal.reviews.scorecard.statistics import Figure, wilson
from xrayportal.words.verdicts import NOT_JUDGED

#: The page draws so many weeks at most, the newest.
WEEKS = 52
_STUDIES = "SELECT week, outcome, body_part, count(*) FROM prediction GROUP BY 1, 2, 3"
_INPUTS = """
SELECT week,
       percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY ood_distance),
       percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY width::float8 * height / 1e6)
FROM prediction JOIN analyses_finding ON analysis_id = analysis
GROUP BY week
"""

Quartiles = tuple[float, float, float]


@dataclass
class Week:
    """One week's studies and views."""

    monday: dt.date
    outcomes: Counter[str] = field(default_factory=Counter)
    body_parts: Counter[str] = field(default_factory=Counter)
    #: Lower quartile, median, upper quartile of the views' distance from what the bundle was trained on.
    distance: Quartiles | None = None
    #: The same of the views' megapixels.
    megapixels: Quartiles | None = None

    @property
    def studies(self) -> int:
        """Analysed studies."""
        return sum(self.outcomes.values())

    @property
    def abnormal(self) -> Figure | None:
        """The share that the model calls abnormal, of the studies that it judges."""
        silent = self.outcomes["unsupported"] + self.outcomes[NOT_JUDGED]
        return wilson(self.outcomes["abnormal"], self.studies - silent)

    @property
    def unsupported(self) -> Figure | None:
        """The share that the model calls unsupported."""
        return wilson(self.outcomes["unsupported"], self.studies)

    def share(self, body_part: str) -> Figure | None:
        """The share of one body part."""
        return wilson(self.body_parts[body_part], sum(self.body_parts.values()))


@dataclass(frozen=True)
class Drift:
    """All analysed studies of one bundle, reviewed or not."""

    scope: Scope
    bundle: Bundle

    @cached_property
    def _all(self) -> list[Week]:
        """Every week with studies, oldest first. One query."""
        weeks: dict[dt.date, Week] = {}
        predictions = self.scope.reference_predictions(self.bundle).values_list(
            week_of(self.scope), outcome_expression(), "body_part"
        )
        with room_to_group():
            rows = list(select_from(_STUDIES, **{"prediction(week, outcome, body_part)": predictions}))
        for monday, outcome, body_part, studies in rows:
            week = weeks.get(monday)
            if week is None:
                week = weeks[monday] = Week(monday)
            week.outcomes[outcome] += studies
            if body_part:
                week.body_parts[body_part] += studies
        return sorted(weeks.values(), key=lambda week: week.monday)

    @cached_property
    def outcomes(self) -> Counter[str]:
        """The model's outcome → studies, over the whole period."""
        return sum((week.outcomes for week in self._all), Counter())

    @cached_property
    def weeks(self) -> list[Week]:
        """The newest weeks with the properties of their pictures, oldest first. One query more."""
        kept = self._all[-WEEKS:]
        if not kept:
            return []
        by_monday = {week.monday: week for week in kept}
        week = week_of(self.scope)
        predictions = (
            self.scope.reference_predictions(self.bundle).annotate(week=week).values_list("pk", "week")
        )
        zone = ZoneInfo(self.scope.access.clinic.time_zone)
        predictions = predictions.filter(sent_at__gte=dt.datetime.combine(kept[0].monday, dt.time(), zone))
        with room_to_group():
            rows = list(select_from(_INPUTS, **{"prediction(analysis, week)": predictions}))
        for monday, distance, megapixels in rows:
            if drawn := by_monday.get(monday):
                drawn.distance, drawn.megapixels = tuple(distance), tuple(megapixels)
        return kept
