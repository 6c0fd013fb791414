"""The scorecard's counts, added up by the database: no row of a study is loaded to be counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import Count, DateField, Exists, F, OuterRef, QuerySet
from django.db.models.functions import Cast, TruncWeek

from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Analysis, Bundle, Verdict
from xrayportal.analyses.outcomes import outcome_expression
from xrayportal.reviews.blind import reads_blind, visible_predictions
from xrayportal.reviews.history import Period
from xrayportal.reviews.models import Consensus, ReferencePrediction, Review
from xrayportal.reviews.scorecard import statistics
from xrayportal.reviews.scorecard.statistics import BINS, Sums
from xrayportal.studies.models import Study

#: (model's outcome, readers' verdict) → cases
Cells = dict[tuple[str, str], int]
#: The field of the reference, by the basis.
_REFERENCE = {"blind": "blind_verdict", "all": "verdict"}
# The body part is that of the readers where they corrected it, else the model's.
_CELLS = """
SELECT prediction.bundle,
       CASE WHEN reference.body_part > '' THEN reference.body_part ELSE prediction.body_part END,
       prediction.outcome, reference.verdict, count(*)
FROM prediction JOIN reference USING (study)
GROUP BY 1, 2, 3, 4
"""
_PAIRS = """
SELECT opinion.reader, NULL, prediction.verdict, opinion.verdict, count(*)
FROM opinion JOIN prediction USING (study)
GROUP BY 1, 3, 4
UNION ALL
SELECT opinion.reader, other.reader, opinion.verdict, other.verdict, count(*)
FROM opinion JOIN opinion AS other ON other.study = opinion.study AND other.reader > opinion.reader
GROUP BY 1, 2, 3, 4
"""
# Every case goes to the bin of the first case with its probability, so equal ones stay together. Few cases
# make fewer bins.
_BINS = """
SELECT count(*), sum(probability), count(*) FILTER (WHERE is_abnormal),
       sum((probability - is_abnormal::int) ^ 2)
FROM (
    SELECT probability, verdict = 'abnormal' AS is_abnormal,
           (rank() OVER (ORDER BY probability) - 1)
           * least(%(bins)s, greatest(1, count(*) OVER () / %(least)s)) / count(*) OVER () AS bin
    FROM prediction JOIN reference USING (study)
) AS ranked
GROUP BY bin ORDER BY bin
"""


@dataclass(frozen=True)
class Scope:
    """The cases that are counted: a clinic's, of a period, whose predictions this person may know."""

    access: ClinicAccess
    period: Period
    #: ``blind`` or ``all``: which opinions are the reference.
    basis: str

    def reference_predictions(self, bundle: Bundle | None = None) -> QuerySet[ReferencePrediction]:
        """The reference predictions of the period's studies, of every bundle or of this one."""
        predictions = ReferencePrediction.objects.filter(self._within("sent_at"), clinic=self.access.clinic)
        if reads_blind(self.access):
            predictions = predictions.filter(study__in=self._visible())
        return predictions.filter(bundle=bundle) if bundle else predictions

    def opinions(self) -> QuerySet[Review]:
        """One opinion for each reader and study: by the basis, the last blind one or the signed one.

        Adjudications are left out.
        """
        signed = Review.objects.filter(
            study=OuterRef("study"), reader=OuterRef("reader"), is_current=True, signed_at__isnull=False
        ).exclude(kind=Review.Kind.ADJUDICATION)
        opinions = Review.objects.filter(self._within("study__created_at"), clinic=self.access.clinic)
        opinions = opinions.exclude(kind=Review.Kind.ADJUDICATION)
        if reads_blind(self.access):
            opinions = opinions.filter(study__in=self._visible())
        if self.basis == "blind":
            opinions = opinions.filter(Exists(signed), was_blind=True)
        else:
            opinions = opinions.filter(is_current=True, signed_at__isnull=False)
        return opinions.order_by("study", "reader", "-created_at").distinct("study", "reader")

    def references(self) -> QuerySet[Consensus, tuple[Any, ...]]:
        """Study, corrected body part and verdict of the studies that have a reference.

        Joined to the predictions by the study's id: the ORM would read the row of every study between.
        """
        verdict = _REFERENCE[self.basis]
        known = Consensus.objects.filter(clinic=self.access.clinic, **{f"{verdict}__gt": ""})
        return known.values_list("study", "body_part", verdict)

    def _within(self, moment: str) -> Any:
        return self.period.limits(self.access.clinic, moment)

    def _visible(self) -> QuerySet[Study]:
        return visible_predictions(self.access, Study.objects.filter(clinic=self.access.clinic))


def bundles_of(scope: Scope) -> list[Bundle]:
    """Bundles with predictions in the clinic, newest first."""
    used = ReferencePrediction.objects.filter(bundle=OuterRef("pk"), clinic=scope.access.clinic)
    return list(Bundle.objects.filter(Exists(used)).order_by("-registered_at"))


def cells_of(scope: Scope) -> dict[int, dict[str, Cells]]:
    """Cases with a reference: bundle → body part → cells. One query."""
    predictions = scope.reference_predictions()
    rows = select_from(
        _CELLS,
        **{
            "prediction(study, bundle, body_part, outcome)": predictions.values_list(
                "study", "bundle", "body_part", outcome_expression()
            ),
            "reference(study, body_part, verdict)": scope.references(),
        },
    )
    cells: dict[int, dict[str, Cells]] = {}
    for bundle, body_part, model, readers, cases in rows:
        cells.setdefault(bundle, {}).setdefault(body_part, {})[model, readers] = cases
    return cells


def calibration_of(scope: Scope, bundle: Bundle) -> list[Sums]:
    """The bins of the cases with a probability and a reference, lowest first. One query."""
    predictions = scope.reference_predictions(bundle).filter(probability__isnull=False)
    decided = {f"{_REFERENCE[scope.basis]}__in": [Verdict.ABNORMAL, Verdict.NORMAL]}
    rows = select_from(
        _BINS % {"bins": BINS, "least": statistics.LEAST_CASES},
        **{
            "prediction(study, probability)": predictions.values_list("study", "probability"),
            "reference(study, body_part, verdict)": scope.references().filter(**decided),
        },
    )
    return [Sums(*row) for row in rows]


@dataclass(frozen=True)
class Agreements:
    """Pairs of verdicts: each reader with the model, and two readers with each other."""

    #: reader → (model's verdict, reader's verdict) → cases
    model: dict[int, Cells]
    #: (reader, other reader) → (the one's verdict, the other's) → cases
    readers: dict[tuple[int, int], Cells]


def agreements_of(scope: Scope, bundle: Bundle) -> Agreements:
    """The pairs of verdicts of all readers. One query."""
    rows = select_from(
        _PAIRS,
        **{
            "opinion(study, reader, verdict)": scope.opinions().values_list("study", "reader", "verdict"),
            # A leaning is still "uncertain"; where nothing is judged there is nothing to agree on.
            "prediction(study, verdict)": scope.reference_predictions(bundle).values_list(
                "study", outcome_expression(leanings=False)
            ),
        },
    )
    agreements = Agreements({}, {})
    for reader, other, first, second, cases in rows:
        if other is None:
            agreements.model.setdefault(reader, Counter())[first, second] = cases
        else:
            agreements.readers.setdefault((reader, other), Counter())[first, second] = cases
    return agreements


def shadows_of(scope: Scope) -> dict[int, Cells]:
    """Shadow bundles against the study's current result: bundle → (current, shadow) → studies."""
    rows = (
        scope.reference_predictions()
        .filter(purpose=Analysis.Purpose.SHADOW, study__current__isnull=False)
        .exclude(study__current__bundle=F("bundle"))
        .values_list(
            "bundle",
            outcome_expression("study__result_", leanings=False),
            outcome_expression(leanings=False),
        )
        .annotate(studies=Count("pk"))
        .order_by()
    )
    cells: dict[int, Cells] = {}
    for bundle, current, shadow, studies in rows:
        cells.setdefault(bundle, {})[current, shadow] = studies
    return cells


def week_of(scope: Scope) -> Cast:
    """The Monday of the week in which the study was sent, in the clinic's zone."""
    return Cast(TruncWeek("sent_at", tzinfo=ZoneInfo(scope.access.clinic.time_zone)), DateField())


@contextmanager
def room_to_group() -> Iterator[None]:
    """Let PostgreSQL group by week in memory.

    It cannot know how few weeks the moments fall into, plans for a group each, and would sort on the disk.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL work_mem = '32MB'")
        yield


def select_from(sql: str, **tables: QuerySet[Any, Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of ``sql`` over the rows of these queries, each named ``table(column, …)``.

    For what the ORM cannot express: joins of grouped rows, and percentiles.
    """
    queries = {name: table.query.sql_with_params() for name, table in tables.items()}
    named = ", ".join(f"{name} AS ({text})" for name, (text, _values) in queries.items())
    values = [value for _text, parameters in queries.values() for value in parameters]
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {named} {sql}", values)
        yield from cursor.fetchall()
