"""The rows and fields of the scorecard, and what its address asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from xrayportal.analyses.models import Verdict
from xrayportal.reviews.history import BASES, Period
from xrayportal.reviews.scorecard import charts
from xrayportal.reviews.scorecard.drift import Week
from xrayportal.reviews.scorecard.queries import Cells
from xrayportal.reviews.scorecard.statistics import Figure, FourFold, kappa, wilson

UNCERTAIN: dict[str, Promise] = {
    "abnormal": gettext_lazy("as abnormal"),
    "normal": gettext_lazy("as normal"),
    "left-out": gettext_lazy("not at all"),
}
#: Verdicts that a reader can agree on; kappa is over these three.
_JUDGED = (Verdict.NORMAL.value, Verdict.ABNORMAL.value, Verdict.UNCERTAIN.value)


@dataclass(frozen=True)
class Question:
    """The page's address: ``?from=&to=&bundle=&basis=&uncertain=``."""

    period: Period = field(default_factory=Period)
    bundle: int = 0
    basis: str = "blind"
    uncertain: str = "abnormal"

    @classmethod
    def read(cls, query: QueryDict) -> Question:
        """From the address; an unknown value is the default."""
        bundle = query.get("bundle", "")
        basis, uncertain = query.get("basis", ""), query.get("uncertain", "")
        return cls(
            period=Period.read(query),
            bundle=int(bundle) if bundle.isascii() and bundle.isdigit() and len(bundle) < 19 else 0,
            basis=basis if basis in BASES else "blind",
            uncertain=uncertain if uncertain in UNCERTAIN else "abnormal",
        )


@dataclass(frozen=True)
class Line:
    """One row of the table of figures: a bundle, or a body part of it."""

    label: str
    counts: FourFold
    sensitivity: charts.Interval | None
    specificity: charts.Interval | None
    kappa: charts.Interval | None

    @classmethod
    def of(cls, label: str, counts: FourFold) -> Line:
        """The figures of these counts."""
        return cls(
            label,
            counts,
            charts.Interval.of(counts.sensitivity),
            charts.Interval.of(counts.specificity),
            charts.Interval.of(counts.kappa, lowest=-1.0),
        )


@dataclass(frozen=True)
class Cell:
    """A field of the confusion matrix: its cases and where to look at them."""

    count: int
    href: str
    agrees: bool


@dataclass(frozen=True)
class Agreement:
    """How far two agree: ``same`` is the plain share, ``kappa`` the share beyond chance."""

    label: str
    same: charts.Interval | None
    kappa: charts.Interval | None
    n: int


def summed(body_parts: Mapping[str, Cells]) -> Cells:
    """All parts together."""
    total: Counter[tuple[str, str]] = Counter()
    for cells in body_parts.values():
        total.update(cells)
    return dict(total)


def agreement(label: str, pairs: Mapping[tuple[str, str], int]) -> Agreement:
    """Over normal, abnormal and uncertain; what anybody calls unsupported is no judgement."""
    table = [[pairs.get((one, other), 0) for other in _JUDGED] for one in _JUDGED]
    n = sum(map(sum, table))
    same = wilson(sum(table[i][i] for i in range(len(table))), n)
    return Agreement(label, charts.Interval.of(same), charts.Interval.of(kappa(table), lowest=-1.0), n)


def samples(rows: list[tuple[Week, Figure | None]]) -> list[charts.Sample]:
    """Weeks with a figure, as a chart takes them."""
    return [charts.Sample(week.monday, f.value, f.low, f.high, f.n) for week, f in rows if f]
