"""The scorecard's counts, summed by the database: no row of a study is loaded to be counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, groupby
from operator import itemgetter
from zoneinfo import ZoneInfo

from django.db.models import Case, CharField, Count, Exists, F, OuterRef, Q, QuerySet, When
from django.db.models.functions import TruncWeek

from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.clinics.access import Seat
from xrayportal.reviews.blind import reads_blind, visible_predictions
from xrayportal.reviews.history import Period
from xrayportal.reviews.models import Review
from xrayportal.reviews.results import counted
from xrayportal.studies.models import Study

#: (model's verdict, readers' verdict) → cases
Cells = dict[tuple[str, str], int]
_STANDING = {"blind": "study__reading__blind_verdict", "all": "study__reading__verdict"}
#: The part by the readers where they corrected it, else by the model.
_PART = Case(
    When(
        ~Q(study__reading__body_part="") & Q(study__reading__isnull=False), then="study__reading__body_part"
    ),
    default="body_part",
    output_field=CharField(),
)


@dataclass(frozen=True)
class Scope:
    """Whose cases: a clinic's, of a period, as far as this person may know the predictions."""

    seat: Seat
    period: Period
    #: ``blind`` or ``all``: which opinions are the reference.
    basis: str

    def studies(self) -> QuerySet[Study]:
        """The studies of the period."""
        studies = visible_predictions(self.seat, Study.objects.filter(clinic=self.seat.clinic))
        return studies.filter(self.period.limits(self.seat.clinic, "created_at"))

    def results(self) -> QuerySet[Analysis]:
        """One result of each bundle for each of them."""
        results = counted(Analysis.objects.filter(clinic=self.seat.clinic))
        if reads_blind(self.seat):
            return results.filter(study__in=self.studies())
        return results.filter(self.period.limits(self.seat.clinic, "study__created_at"))

    def opinions(self) -> QuerySet[Review]:
        """One opinion a reader and study, adjudications left out: the last blind one, or the signed one."""
        signed = Review.objects.filter(
            study=OuterRef("study"), reader=OuterRef("reader"), is_current=True, signed_at__isnull=False
        ).exclude(kind=Review.Kind.ADJUDICATION)
        opinions = Review.objects.filter(clinic=self.seat.clinic, study__in=self.studies())
        opinions = opinions.exclude(kind=Review.Kind.ADJUDICATION)
        if self.basis == "blind":
            opinions = opinions.filter(Exists(signed), was_blind=True)
        else:
            opinions = opinions.filter(is_current=True, signed_at__isnull=False)
        return opinions.order_by("study", "reader", "-created_at").distinct("study", "reader")


def bundles_of(scope: Scope) -> list[Bundle]:
    """Bundles with results in the clinic, newest first."""
    used = Analysis.objects.filter(
        bundle=OuterRef("pk"), clinic=scope.seat.clinic, state=Analysis.State.SUCCEEDED
    )
    return list(Bundle.objects.filter(Exists(used)).order_by("-registered_at"))


def cells_of(scope: Scope) -> dict[int, dict[str, Cells]]:
    """Cases with a reference: bundle → part → cells. One query."""
    reference = _STANDING[scope.basis]
    rows = (
        scope.results()
        .filter(**{f"{reference}__gt": ""})
        .values_list("bundle", _PART, "verdict", reference)
        .annotate(cases=Count("pk"))
        .order_by()
    )
    cells: dict[int, dict[str, Cells]] = {}
    for bundle, part, model, readers, cases in rows:
        cells.setdefault(bundle, {}).setdefault(part, {})[model, readers] = cases
    return cells


def analysed_of(scope: Scope) -> dict[int, dict[str, int]]:
    """All analysed studies, reviewed or not: bundle → the model's verdict → studies. One query."""
    rows = scope.results().values_list("bundle", "verdict").annotate(studies=Count("pk")).order_by()
    found: dict[int, dict[str, int]] = {}
    for bundle, verdict, studies in rows:
        found.setdefault(bundle, {})[verdict] = studies
    return found


def probabilities_of(scope: Scope, bundle: Bundle) -> Iterator[tuple[float, bool]]:
    """(probability, abnormal by the readers) of each case that has both. One query."""
    reference = _STANDING[scope.basis]
    rows = (
        scope.results()
        .filter(bundle=bundle, probability__isnull=False, **{f"{reference}__in": ["abnormal", "normal"]})
        .values_list("probability", reference)
    )
    for probability, readers in rows:
        yield probability, readers == "abnormal"


@dataclass(frozen=True)
class Agreements:
    """Pairs of verdicts: each reader with the model, and two readers with each other."""

    #: reader → (model's verdict, reader's verdict) → cases
    model: dict[int, Counter[tuple[str, str]]]
    #: (reader, other reader) → (the one's verdict, the other's) → cases
    readers: dict[tuple[int, int], Counter[tuple[str, str]]]


def agreements_of(scope: Scope, bundle: Bundle) -> Agreements:
    """All pairs, from two queries that are read side by side, study by study.

    Both are read whole: a server-side cursor would make PostgreSQL plan for the first rows only.
    """
    said = scope.opinions().values_list("study", "reader", "verdict")
    read = Exists(Review.objects.filter(study=OuterRef("study")))
    model = scope.results().filter(read, bundle=bundle).values_list("study", "verdict").order_by("study")
    results = iter(model)
    found = Agreements({}, {})
    study, verdict = next(results, (None, ""))
    for reviewed, rows in groupby(said, key=itemgetter(0)):
        # Both come in the order of the study's id.
        while study is not None and study < reviewed:
            study, verdict = next(results, (None, ""))
        opinions = [(reader, opinion) for _, reader, opinion in rows]
        if study == reviewed:
            for reader, opinion in opinions:
                found.model.setdefault(reader, Counter())[verdict, opinion] += 1
        for (one, first), (other, second) in combinations(opinions, 2):
            found.readers.setdefault((one, other), Counter())[first, second] += 1
    return found


def shadows_of(scope: Scope) -> dict[int, Cells]:
    """Shadow bundles against the study's current result: bundle → (current, shadow) → studies."""
    rows = (
        scope.results()
        .filter(purpose=Analysis.Purpose.SHADOW, study__current__isnull=False)
        .exclude(study__current__bundle=F("bundle"))
        .values_list("bundle", "study__current__verdict", "verdict")
        .annotate(studies=Count("pk"))
        .order_by()
    )
    found: dict[int, Cells] = {}
    for bundle, current, shadow, studies in rows:
        found.setdefault(bundle, {})[current, shadow] = studies
    return found


def week_of(scope: Scope, sent: str = "study__created_at") -> TruncWeek:
    """The Monday of the week that the study was sent in, in the clinic's zone."""
    return TruncWeek(sent, tzinfo=ZoneInfo(scope.seat.clinic.time_zone))
