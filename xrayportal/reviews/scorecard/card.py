"""The scorecard: the figures of one clinic, and the charts of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlencode

from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Bundle, Verdict
from xrayportal.analyses.outcomes import OUTCOMES, outcomes_of
from xrayportal.clinics.models import User
from xrayportal.reviews.scorecard import charts, queries
from xrayportal.reviews.scorecard.drift import Drift, Week
from xrayportal.reviews.scorecard.lines import (
    Agreement,
    Cell,
    Line,
    ScorecardFilter,
    agreement,
    samples,
    summed,
)
from xrayportal.reviews.scorecard.queries import Cells, Scope
from xrayportal.reviews.scorecard.statistics import (
    LEAST_CALIBRATED,
    LEAST_CASES,
    Calibration,
    Corrected,
    FourFold,
    Stratum,
    calibration,
    corrected_for_verification,
    enough,
    folding,
    four_fold,
    wilson,
)
from xrayportal.words import verdicts
from xrayportal.words.verdicts import NOT_JUDGED

_BODY_PARTS_DRAWN = 6


class Scorecard:
    """The figures of one clinic; each is computed when the page shows it."""

    def __init__(self, access: ClinicAccess, filters: ScorecardFilter) -> None:
        self.access = access
        self.filters = filters
        self.scope = Scope(access, filters.period, filters.basis)

    @cached_property
    def bundles(self) -> list[Bundle]:
        """The bundles that analysed studies of this clinic, newest first."""
        return queries.bundles_of(self.scope)

    @cached_property
    def bundle(self) -> Bundle | None:
        """The bundle that the filter chooses, else the active one, else the newest."""
        chosen = [b for b in self.bundles if b.pk == self.filters.bundle]
        active = [b for b in self.bundles if b.is_active]
        return next(iter([*chosen, *active, *self.bundles]), None)

    @cached_property
    def _cells(self) -> dict[int, dict[str, Cells]]:
        return queries.cells_of(self.scope)

    @cached_property
    def _drift(self) -> Drift | None:
        return Drift(self.scope, self.bundle) if self.bundle else None

    @property
    def _analysed(self) -> Mapping[str, int]:
        """Studies of the chosen bundle by the model's outcome, reviewed or not."""
        return self._drift.outcomes if self._drift else {}

    def cells(self, bundle: Bundle) -> Cells:
        """The cells of one bundle, over all body parts."""
        return summed(self._cells.get(bundle.pk, {}))

    @cached_property
    def counts(self) -> FourFold:
        """The chosen bundle's cases, folded as the filter says."""
        cells = self.cells(self.bundle) if self.bundle else {}
        return four_fold(cells, uncertain=self.filters.uncertain)

    @property
    def summary(self) -> list[str]:
        """The figures in plain sentences: what was compared, what was missed, what was a false alarm."""
        counts = self.counts
        sentences = [
            _("%(n)d of %(analysed)d analysed studies could be compared with readers.")
            % {"analysed": self.analysed, "n": counts.n}
        ]
        abnormal = counts.true_positive + counts.false_negative
        normal = counts.true_negative + counts.false_positive
        if abnormal >= LEAST_CASES:
            sentences.append(
                _(
                    "Readers called %(n)d of them abnormal; the model flagged %(flagged)d of these and "
                    "missed %(missed)d."
                )
                % {"n": abnormal, "flagged": counts.true_positive, "missed": counts.false_negative}
            )
        if normal >= LEAST_CASES:
            sentences.append(
                _("Readers called %(n)d of them normal; the model flagged %(flagged)d of these all the same.")
                % {"n": normal, "flagged": counts.false_positive}
            )
        if min(abnormal, normal) < LEAST_CASES:
            sentences.append(
                _(
                    "A figure needs at least %(least)d cases; there are %(abnormal)d abnormal and %(normal)d "
                    "normal ones."
                )
                % {"least": LEAST_CASES, "abnormal": abnormal, "normal": normal}
            )
        return sentences

    @property
    def whole(self) -> Line:
        """The chosen bundle over all parts."""
        return Line.of(_("All body parts"), self.counts)

    @property
    def by_body_part(self) -> list[Line]:
        """The chosen bundle by body part, most cases first."""
        body_parts = self._cells.get(self.bundle.pk, {}) if self.bundle else {}
        lines = [
            Line.of(
                verdicts.body_part_word(body_part) or _("Unknown"),
                four_fold(cells, uncertain=self.filters.uncertain),
            )
            for body_part, cells in body_parts.items()
        ]
        return sorted(lines, key=lambda line: (-line.counts.n, line.label))

    @property
    def by_bundle(self) -> list[Line]:
        """Every bundle over all body parts, shadow bundles included."""
        return [
            Line.of(bundle.name, four_fold(self.cells(bundle), uncertain=self.filters.uncertain))
            for bundle in self.bundles
        ]

    @cached_property
    def analysed(self) -> int:
        """Studies that the chosen bundle analysed in the period."""
        return sum(self._analysed.values())

    @property
    def verification(self) -> list[tuple[str, int, charts.Interval | None]]:
        """For each outcome of the model, its word, its number of studies and the share that was reviewed.

        Where the shares differ, the figures are biased.
        """
        if self.bundle is None:
            return []
        reviewed: Counter[str] = Counter()
        for (model, _readers), count in self.cells(self.bundle).items():
            reviewed[model] += count
        return [
            (self.word(code), total, charts.Interval.of(enough(wilson(reviewed[code], total))))
            for code in OUTCOMES
            if (total := self._analysed.get(code, 0))
        ]

    @cached_property
    def corrected(self) -> Corrected | None:
        """Begg and Greenes' correction of the chosen bundle's figures."""
        cells = self.cells(self.bundle) if self.bundle else {}
        return corrected_for_verification(
            Stratum(
                is_flagged=counts_as == "abnormal",
                analysed=self._analysed.get(code, 0),
                abnormal=cells.get((code, "abnormal"), 0),
                normal=cells.get((code, "normal"), 0),
            )
            for code, counts_as in folding(self.filters.uncertain).items()
        )

    @property
    def corrected_intervals(self) -> tuple[charts.Interval | None, charts.Interval | None]:
        """The corrected sensitivity and specificity, as drawn."""
        if self.corrected is None:
            return None, None
        return charts.Interval.of(self.corrected.sensitivity), charts.Interval.of(self.corrected.specificity)

    @property
    def matrix(self) -> list[tuple[str, str, list[Cell]]]:
        """Rows by the model's outcome (code, word), columns by the readers' verdict, as ``verdicts``."""
        if self.bundle is None:
            return []
        cells = self.cells(self.bundle)
        # An uncertain result without a leaning is rare where a bundle knows leanings.
        given = {*outcomes_of(self.bundle), *(model for model, _readers in cells)}
        if self.bundle.thresholds.get("even") is not None and not any(m == "uncertain" for m, _r in cells):
            given.discard("uncertain")
        return [
            (
                model,
                self.word(model),
                [
                    Cell(cells.get((model, readers), 0), self.cases(model, readers), model == readers)
                    for readers in Verdict.values
                ],
            )
            for model in OUTCOMES
            if model in given
        ]

    @property
    def verdicts(self) -> list[tuple[str, str]]:
        """The columns of the matrix: code and word of each verdict."""
        return [(code, self.word(code)) for code in Verdict.values]

    def cases(self, model: str, readers: str) -> str:
        """The query that finds a cell's cases in the history, by the model's and the readers' verdict."""
        return self._history_query(verdict=model, readers=readers)

    @property
    def export_query(self) -> str:
        """The query that finds all studies of the chosen bundle and period in the history."""
        return self._history_query()

    def _history_query(self, **filters: str) -> str:
        period = self.filters.period
        query = {
            "from": period.first.isoformat() if period.first else "",
            "to": period.last.isoformat() if period.last else "",
            "bundle": self.bundle.pk if self.bundle else "",
            **filters,
            "basis": self.filters.basis,
        }
        return urlencode({name: value for name, value in query.items() if value})

    def word(self, code: str) -> str:
        """The chosen bundle's word for a verdict."""
        return verdicts.verdict_word(self.bundle.manifest, code) if self.bundle else code

    @cached_property
    def _agreements(self) -> queries.Agreements:
        if self.bundle is None:
            return queries.Agreements({}, {})
        return queries.agreements_of(self.scope, self.bundle)

    @cached_property
    def _names(self) -> dict[int, str]:
        return {user.pk: str(user) for user in User.objects.filter(pk__in=self._agreements_people)}

    @property
    def _agreements_people(self) -> set[int]:
        pairs = {reader for pair in self._agreements.readers for reader in pair}
        return pairs | set(self._agreements.model)

    @property
    def with_model(self) -> list[Agreement]:
        """Each reader and the model, most cases first."""
        rows = [agreement(self._names[r], pairs) for r, pairs in self._agreements.model.items()]
        return sorted(rows, key=lambda row: (-row.n, row.label))

    @property
    def with_each_other(self) -> list[Agreement]:
        """Every two readers who read the same studies, most cases first."""
        rows = [
            agreement(f"{self._names[one]} · {self._names[other]}", pairs)
            for (one, other), pairs in self._agreements.readers.items()
        ]
        return sorted(rows, key=lambda row: (-row.n, row.label))

    @cached_property
    def calibration(self) -> Calibration | None:
        """Reliability of the chosen bundle's probabilities; None for too few cases."""
        if self.bundle is None:
            return None
        measured = calibration(queries.calibration_of(self.scope, self.bundle))
        return measured if measured and measured.n >= LEAST_CALIBRATED else None

    @property
    def reliability(self) -> charts.Reliability | None:
        """The calibration, as drawn; None where it has no two points."""
        return charts.reliability(self.calibration) if self.calibration else None

    @cached_property
    def weeks(self) -> list[Week]:
        """The chosen bundle's weeks."""
        return self._drift.weeks if self._drift else []

    @property
    def rates(self) -> list[charts.Weekly]:
        """Abnormal and unsupported shares over time."""
        drawn = [
            charts.weekly(
                _("Share of “%(verdict)s”") % {"verdict": self.word("abnormal")},
                samples([(week, week.abnormal) for week in self.weeks]),
                write=charts.percent,
            ),
            charts.weekly(
                _("Share of “%(verdict)s”") % {"verdict": self.word("unsupported")},
                samples([(week, week.unsupported) for week in self.weeks]),
                write=charts.percent,
            ),
        ]
        return [chart for chart in drawn if chart]

    @property
    def mix(self) -> list[charts.Weekly]:
        """The shares of the commonest body parts over time."""
        total: Counter[str] = Counter()
        for week in self.weeks:
            total.update(week.body_parts)
        drawn = [
            charts.weekly(
                verdicts.body_part_word(body_part),
                samples([(week, week.share(body_part)) for week in self.weeks]),
                write=charts.percent,
            )
            for body_part, _studies in total.most_common(_BODY_PARTS_DRAWN)
        ]
        return [chart for chart in drawn if chart]

    @property
    def inputs(self) -> list[charts.Weekly]:
        """Properties of the pictures over time: medians, with the middle half of the views as the band."""
        drawn = [
            charts.weekly(
                title,
                [
                    charts.Sample(week.monday, figures[1], figures[0], figures[2], week.studies)
                    for week in self.weeks
                    if (figures := getattr(week, column)) is not None and week.studies >= LEAST_CASES
                ],
                write=charts.number,
            )
            for title, column in (
                (_("Distance from the images that the model was trained on"), "distance"),
                (_("Megapixels"), "megapixels"),
            )
        ]
        return [chart for chart in drawn if chart]

    @property
    def shadowed(self) -> list[str]:
        """The words of the rows and columns of ``shadows``."""
        return [self.word(code) for code in self._shadowed]

    @property
    def _shadowed(self) -> list[str]:
        """The outcomes in which two bundles are compared: without leanings, which one of them may lack."""
        not_judged = [NOT_JUDGED] if any(NOT_JUDGED in outcomes_of(one) for one in self.bundles) else []
        return [*Verdict.values, *not_judged]

    @property
    def shadows(self) -> list[tuple[Bundle, Agreement, list[tuple[str, list[int]]]]]:
        """Shadow bundles against the results in use: agreement and table (rows: in use, columns: shadow)."""
        by_id, codes = {bundle.pk: bundle for bundle in self.bundles}, self._shadowed
        return [
            (
                by_id[pk],
                agreement(by_id[pk].name, cells),
                [(self.word(r), [cells.get((r, c), 0) for c in codes]) for r in codes],
            )
            for pk, cells in queries.shadows_of(self.scope).items()
        ]
