"""The scorecard's filter, and the rows and cells of its tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from xrayportal.analyses.models import Verdict
from xrayportal.reviews.history import BASES, Period, row_id
from xrayportal.reviews.scorecard import charts
from xrayportal.reviews.scorecard.drift import Week
from xrayportal.reviews.scorecard.queries import Cells
from xrayportal.reviews.scorecard.statistics import Figure, FourFold, enough, kappa, wilson

#: How the model's verdict "uncertain" counts.
UNCERTAIN: dict[str, Promise] = {
    "abnormal": gettext_lazy("as abnormal"),
    "normal": gettext_lazy("as normal"),
    "leaning": gettext_lazy("by its leaning"),
    "left-out": gettext_lazy("not at all"),
}
#: Verdicts that a reader can agree on; kappa is over these three.
_JUDGED = (Verdict.NORMAL.value, Verdict.ABNORMAL.value, Verdict.UNCERTAIN.value)


@dataclass(frozen=True)
class ScorecardFilter:
    """What the scorecard counts: ``?from=&to=&bundle=&basis=&uncertain=`` of its address."""

    period: Period = field(default_factory=Period)
    #: A bundle's id; 0 for the active one.
    bundle: int = 0
    #: A code of ``history.BASES``: which opinions are the reference.
    basis: str = "blind"
    #: A code of ``UNCERTAIN``.
    uncertain: str = "abnormal"

    @classmethod
    def read(cls, query: QueryDict) -> ScorecardFilter:
        """From the address; an unknown value is the default."""
        basis, uncertain = query.get("basis", ""), query.get("uncertain", "")
        return cls(
            period=Period.read(query),
            bundle=row_id(query.get("bundle", "")),
            basis=basis if basis in BASES else "blind",
            uncertain=uncertain if uncertain in UNCERTAIN else "abnormal",
        )


@dataclass(frozen=True)
class Line:
    """One row of the table of figures: those of a bundle, or of a body part."""

    label: str
    counts: FourFold
    sensitivity: charts.Interval | None
    specificity: charts.Interval | None
    kappa: charts.Interval | None

    @classmethod
    def of(cls, label: str, counts: FourFold) -> Line:
        """The row with the figures of these counts."""
        return cls(
            label,
            counts,
            charts.Interval.of(enough(counts.sensitivity)),
            charts.Interval.of(enough(counts.specificity)),
            charts.Interval.of(enough(counts.kappa), lowest=-1.0),
        )


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix: its number of cases, and the query that finds them in the history."""

    count: int
    href: str
    agrees: bool


@dataclass(frozen=True)
class Agreement:
    """The agreement of two over ``n`` cases: ``same`` is the plain share, ``kappa`` that beyond chance."""

    label: str
    same: charts.Interval | None
    kappa: charts.Interval | None
    n: int


def summed(body_parts: Mapping[str, Cells]) -> Cells:
    """The cells of all body parts added up."""
    total: Counter[tuple[str, str]] = Counter()
    for cells in body_parts.values():
        total.update(cells)
    return dict(total)


def agreement(label: str, pairs: Mapping[tuple[str, str], int]) -> Agreement:
    """The agreement over normal, abnormal and uncertain; a case that either calls unsupported is left out."""
    table = [[pairs.get((one, other), 0) for other in _JUDGED] for one in _JUDGED]
    n = sum(map(sum, table))
    same = enough(wilson(sum(table[i][i] for i in range(len(table))), n))
    return Agreement(
        label, charts.Interval.of(same), charts.Interval.of(enough(kappa(table)), lowest=-1.0), n
    )


def samples(rows: list[tuple[Week, Figure | None]]) -> list[charts.Sample]:
    """The weeks whose figure has enough cases, as samples of a chart."""
    return [charts.Sample(week.monday, f.value, f.low, f.high, f.n) for week, f in rows if enough(f) and f]
