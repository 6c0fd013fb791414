"""The history of predictions: the admin's filters, and pages that cost the same wherever they lie."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from django.contrib.postgres.aggregates import ArrayAgg
from django.contrib.postgres.fields import ArrayField
from django.db.models import Count, Exists, F, FilteredRelation, Func, OuterRef, Q, QuerySet, UUIDField
from django.http import QueryDict
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Analysis, Verdict
from xrayportal.analyses.outcomes import OUTCOMES, has_outcome
from xrayportal.clinics.models import Clinic
from xrayportal.reviews.blind import visible_predictions
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Study

PER_PAGE = 50
#: Counting further would cost time on every view.
COUNTED = 10_000
#: Up to so many studies are loaded by their ids.
FEW = 500

#: Which opinions are the reference: those stored blind, or those finally signed.
BASES: dict[str, Promise] = {"blind": _("Blind readings"), "all": _("All signed reviews")}
REFERENCE = {"blind": "consensus__blind_verdict", "all": "consensus__verdict"}
REVIEW_STATUSES: dict[str, Promise] = {
    "none": _("Not reviewed"),
    "agreed": _("Readers agree"),
    "disagreed": _("Readers disagree"),
    "adjudicated": _("Adjudicated"),
    "model": _("Readers differ from the model"),
    "changed": _("Reader changed their verdict"),
}


@dataclass(frozen=True)
class Period:
    """From one day to another in the clinic's zone, both included; None is no limit."""

    first: dt.date | None = None
    last: dt.date | None = None

    @classmethod
    def read(cls, query: QueryDict) -> Period:
        """From ``?from=&to=`` as ISO dates; any other text is no limit."""
        return cls(_date(query.get("from", "")), _date(query.get("to", "")))

    def limits(self, clinic: Clinic, field_name: str) -> Q:
        """The condition that the time in ``field_name`` lies within the period."""
        zone, condition = ZoneInfo(clinic.time_zone), Q()
        if self.first:
            condition &= Q(**{f"{field_name}__gte": dt.datetime.combine(self.first, dt.time(), zone)})
        if self.last and self.last < dt.date.max:
            end = dt.datetime.combine(self.last + dt.timedelta(days=1), dt.time(), zone)
            condition &= Q(**{f"{field_name}__lt": end})
        return condition


@dataclass(frozen=True)
class NamedPeriod:
    """A period to choose by name: ISO dates, empty for no limit."""

    word: Promise
    first: str
    last: str
    is_current: bool


def periods_of(clinic: Clinic, chosen: Period) -> list[NamedPeriod]:
    """Periods that end today, in the clinic's zone, and all time; the chosen one is marked."""
    today = timezone.now().astimezone(ZoneInfo(clinic.time_zone)).date()
    starts: list[tuple[Promise, dt.date]] = [
        (_("Today"), today),
        (_("Last 7 days"), today - dt.timedelta(days=6)),
        (_("Last 30 days"), today - dt.timedelta(days=29)),
        (_("This year"), today.replace(month=1, day=1)),
    ]
    named = [
        NamedPeriod(word, first.isoformat(), today.isoformat(), chosen == Period(first, today))
        for word, first in starts
    ]
    return [*named, NamedPeriod(_("All time"), "", "", chosen == Period())]


@dataclass(frozen=True)
class Filters:
    """The filters of the address; an unknown value is no filter."""

    period: Period = field(default_factory=Period)
    body_part: str = ""
    #: The outcome (``analyses.outcomes``), by ``bundle`` if given, else by the study's current result.
    verdict: str = ""
    #: A bundle's id; 0 for any.
    bundle: int = 0
    reader: int = 0
    #: A code of ``REVIEW_STATUSES``.
    review_status: str = ""
    #: The readers' verdict, on the ``basis``.
    readers: str = ""
    basis: str = "blind"

    @classmethod
    def read(cls, query: QueryDict) -> Filters:
        """From the address."""

        def one_of(name: str, values: object) -> str:
            value = query.get(name, "")
            return value if value in values else ""  # type: ignore[operator]  # any container

        return cls(
            period=Period.read(query),
            body_part=query.get("body_part", "")[:32].replace("\0", ""),
            verdict=one_of("verdict", OUTCOMES),
            bundle=row_id(query.get("bundle", "")),
            reader=row_id(query.get("reader", "")),
            review_status=one_of("review_status", REVIEW_STATUSES),
            readers=one_of("readers", Verdict.values),
            basis=one_of("basis", BASES) or "blind",
        )

    @property
    def any(self) -> bool:
        """Whether anything is filtered out."""
        return self != Filters(basis=self.basis)

    @property
    def names(self) -> list[str]:
        """The names of the filters in use, for the audit, which keeps no values."""
        used = [
            name
            for name in ("body_part", "verdict", "bundle", "reader", "review_status", "readers")
            if getattr(self, name)
        ]
        return used + (["period"] if self.period != Period() else [])


def matching_studies(access: ClinicAccess, filters: Filters) -> QuerySet[Study]:
    """The studies with a result that the filters match, without those whose prediction is kept back."""
    studies = visible_predictions(access, access.studies())
    studies = studies.filter(filters.period.limits(access.clinic, "created_at"))
    if filters.bundle:
        # One row at most: joined, so that the database begins with what is rarest. A shadow bundle may have
        # a prediction where the primary one failed.
        predictions = FilteredRelation(
            "reference_predictions", condition=Q(reference_predictions__bundle=filters.bundle)
        )
        studies, condition = studies.annotate(prediction=predictions), Q(prediction__isnull=False)
        fields = PredictionFields("prediction__")
    else:
        condition = Q(current__isnull=False)
        fields = PredictionFields("result_")
    if filters.verdict:
        condition &= has_outcome(filters.verdict, fields.prefix)
    if filters.body_part:
        condition &= _has_body_part(filters.body_part, fields)
    if filters.reader:
        signed = Review.objects.filter(study=OuterRef("pk"), reader=filters.reader, signed_at__isnull=False)
        condition &= Q(Exists(signed))
    if filters.readers:
        condition &= Q(**{REFERENCE[filters.basis]: filters.readers})
    if filters.review_status:
        condition &= _has_review_status(filters.review_status, fields)
    # All at once: every further call would join the predictions again.
    return studies.filter(condition)


def counted(studies: QuerySet[Study]) -> tuple[QuerySet[Study], int]:
    """The same studies, and how many there are, of which `COUNTED` are counted at most; one query.

    Few are found by their ids from now on: to find the newest of few, the database would go through all
    studies of the clinic, newest first.
    """
    first = Func(ArrayAgg("pk"), template=f"(%(expressions)s)[:{FEW}]", output_field=ArrayField(UUIDField()))
    found = studies.order_by()[:COUNTED].aggregate(count=Count("pk"), ids=first)
    if found["count"] > FEW:
        return studies, found["count"]
    return Study.objects.filter(pk__in=found["ids"] or []), found["count"]


def results_of(studies: QuerySet[Study], filters: Filters) -> QuerySet[Analysis]:
    """The results of the studies: those of the bundle that the filters choose, else the current ones."""
    if filters.bundle:
        return Analysis.objects.filter(
            reference_prediction__bundle=filters.bundle, reference_prediction__study__in=studies
        )
    return Analysis.objects.filter(pk__in=studies.values("current"))


@dataclass(frozen=True)
class PredictionFields:
    """The fields in which a query of studies finds the prediction that the filters are about."""

    prefix: str

    @property
    def verdict(self) -> str:
        """The field of the model's verdict."""
        return f"{self.prefix}verdict"

    @property
    def reason(self) -> str:
        """The field of why the model gave no verdict."""
        return f"{self.prefix}reason"

    @property
    def body_part(self) -> str:
        """The field of the model's body part."""
        return f"{self.prefix}body_part"


def _has_body_part(body_part: str, fields: PredictionFields) -> Q:
    """By the readers where they corrected the body part, else by the model."""
    unchanged = Q(consensus__body_part="") | Q(consensus__body_part__isnull=True)
    return Q(consensus__body_part=body_part) | (unchanged & Q(**{fields.body_part: body_part}))


def _has_review_status(code: str, fields: PredictionFields) -> Q:
    if code == "none":
        # Looked for study by study, newest first, instead of joined for all before the newest are taken.
        signed = Consensus.objects.filter(study=OuterRef("pk")).exclude(state=Consensus.State.OPEN)
        return ~Q(Exists(signed))
    if code == "changed":
        return Q(consensus__changes__gt=0)
    if code == "model":
        settled = [Consensus.State.AGREED, Consensus.State.ADJUDICATED]
        # Where the model gave no verdict there is nothing to differ from.
        differs = Q(**{fields.reason: ""}) & ~Q(consensus__verdict=F(fields.verdict))
        return Q(consensus__state__in=settled) & differs
    return Q(consensus__state=code)


@dataclass(frozen=True)
class Cursor:
    """A position in the order newest first: at a row, so that it holds while rows come and go."""

    at: dt.datetime
    study: uuid.UUID

    @classmethod
    def read(cls, text: str) -> Cursor | None:
        """From the address; None for any other text."""
        at, _comma, study = text.partition(",")
        try:
            moment = dt.datetime.fromisoformat(at)
            # PostgreSQL does not know every zone that Python does.
            return cls(moment.astimezone(dt.UTC), uuid.UUID(study)) if moment.tzinfo else None
        except (ValueError, OverflowError):
            return None

    def __str__(self) -> str:
        return f"{self.at.isoformat()},{self.study}"


@dataclass(frozen=True)
class Page:
    """One page of studies, with their moments alone, and the cursors of the newer and the older page."""

    studies: list[Study]
    newer: Cursor | None
    older: Cursor | None


def page_of(
    studies: QuerySet[Study], *, before: Cursor | None, after: Cursor | None, size: int = PER_PAGE
) -> Page:
    """The page older than ``before``, or newer than ``after``, or the newest one; newest first.

    By cursor instead of by number: the database reads ``size`` rows from an index, on any page.
    """
    backwards = before is None and after is not None
    order = ("created_at", "pk") if backwards else ("-created_at", "-pk")
    ordered = studies.order_by(*order).only("created_at")
    if before is not None:
        ordered = ordered.filter(Q(created_at__lt=before.at) | Q(created_at=before.at, pk__lt=before.study))
        ordered = ordered.filter(created_at__lte=before.at)
    elif after is not None:
        ordered = ordered.filter(Q(created_at__gt=after.at) | Q(created_at=after.at, pk__gt=after.study))
        ordered = ordered.filter(created_at__gte=after.at)
    rows = list(ordered[: size + 1])
    has_more = len(rows) > size
    rows = rows[:size]
    if backwards:
        rows.reverse()
    if not rows:
        return Page([], None, None)
    first, last = Cursor(rows[0].created_at, rows[0].pk), Cursor(rows[-1].created_at, rows[-1].pk)
    if backwards:
        return Page(rows, newer=first if has_more else None, older=last)
    return Page(rows, newer=first if before else None, older=last if has_more else None)


def _date(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def row_id(text: str) -> int:
    """The id of a row; 0 for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
