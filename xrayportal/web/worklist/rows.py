"""The worklist's filters, and one page of its studies in a constant number of queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import UUID, uuid4

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.core.paginator import Page, Paginator
from django.db.models import BooleanField, F, Func, Q, QuerySet, UUIDField, Value
from django.db.models.expressions import Combinable
from django.http import QueryDict
from django.utils.functional import cached_property
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from xrayportal.access import ClinicAccess
from xrayportal.analyses.latest import latest_state, with_status
from xrayportal.analyses.models import Analysis, Bundle, Verdict
from xrayportal.analyses.outcomes import OUTCOMES, has_outcome, outcomes_of
from xrayportal.clinics.models import Clinic, Role, User
from xrayportal.prepared import Prepared
from xrayportal.reviews.blind import reads_blind, visible_predictions, with_revealed
from xrayportal.studies.models import Study, Upload
from xrayportal.web.shared.status import WORDS
from xrayportal.words.verdicts import body_part_word, verdict_word
from xrayportal.worklist.marks import own_review, read_by
from xrayportal.worklist.order import ORDERS, Phases, ordered
from xrayportal.worklist.tabs import TABS, in_tab, tabs_of

PER_PAGE = 50
#: Nobody pages further, and counting further costs time on every view.
COUNTED = 10_000
ALL = _("All")
#: What an address may name a list by; the page is a place in one.
_PARAMETERS = frozenset({"q", "verdict", "body_part", "state", "list", "sort"})
STATES = {
    "open": _("Receiving images"),
    Analysis.State.QUEUED.value: WORDS[Analysis.State.QUEUED],
    Analysis.State.RUNNING.value: WORDS[Analysis.State.RUNNING],
    "done": WORDS[Analysis.State.SUCCEEDED],
    Analysis.State.FAILED.value: WORDS[Analysis.State.FAILED],
}


if TYPE_CHECKING:
    _Paginator = Paginator[UUID]
else:  # generic for the type checker only
    _Paginator = Paginator


class ListedStudy(NamedTuple):
    """What the list shows of a study, in the order of ``_COLUMNS``; None where there is no result."""

    pk: UUID
    patient_reference: str
    stated_body_part: str
    created_at: datetime
    #: As ``analyses.latest.RowFacts``.
    latest_state: str
    thumbnail: UUID | None
    views: int | None
    name: str
    #: As ``worklist.marks``, and whether the prediction may be shown to this person.
    is_read: bool
    own_review: str
    revealed: bool
    #: The state of the readers' consensus, if there is one.
    consensus: str | None
    bundle_id: int | None
    verdict: str | None
    reason: str | None
    leaning: str | None
    body_part: str | None
    probability: float | None
    threshold_low: float | None
    threshold_high: float | None
    thresholds_by_clinic: bool | None


_COLUMNS = (
    *("pk", "patient_reference", "stated_body_part", "created_at"),
    *("latest_state", "thumbnail", "views", "name", "is_read", "own_review", "revealed"),
    "consensus__state",
    *("current__bundle_id", "current__verdict", "current__reason", "current__leaning", "current__body_part"),
    *("current__probability", "current__threshold_low", "current__threshold_high"),
    "current__thresholds_by_clinic",
)


class Choice(NamedTuple):
    """One option of a filter."""

    value: str
    word: str


@dataclass(frozen=True)
class Filters:
    """The filters of the address; an unknown value is no filter."""

    verdict: str = ""
    body_part: str = ""
    state: str = ""
    text: str = ""
    #: A code of ``worklist.tabs.TABS``, and one of ``worklist.order.ORDERS``.
    list: str = ""
    sort: str = ""

    @classmethod
    def read(cls, query: QueryDict) -> Filters:
        """From ``?verdict=&body_part=&state=&q=&list=&sort=``."""
        return cls(
            verdict=query.get("verdict", "") if query.get("verdict") in OUTCOMES else "",
            body_part=query.get("body_part", "")[:32].replace("\0", ""),
            state=query.get("state", "") if query.get("state") in STATES else "",
            text=query.get("q", "").strip()[:64].replace("\0", ""),
            list=query.get("list", "") if query.get("list") in TABS else "",
            sort=query.get("sort", "") if query.get("sort") in ORDERS else "",
        )

    @staticmethod
    def are_named_in(query: QueryDict) -> bool:
        """Whether an address names a list at all; an empty value names one, too."""
        return not _PARAMETERS.isdisjoint(query)

    @property
    def any(self) -> bool:
        """Whether anything is filtered out."""
        return any((self.verdict, self.body_part, self.state, self.text, self.list))

    def without_text(self) -> Filters:
        """The same filters without the words of the search."""
        return replace(self, text="")

    def with_list(self, code: str) -> Filters:
        """The same filters in another tab."""
        return replace(self, list=code)

    def with_sort(self, code: str) -> Filters:
        """The same filters in another order."""
        return replace(self, sort=code)

    @property
    def query(self) -> str:
        """The canonical query: the parameters in a fixed order, without empty ones; ``list=all`` for none.

        An address without a query means the list that the person looked at last.
        """
        named = {"q": self.text, "verdict": self.verdict, "body_part": self.body_part, "state": self.state}
        pairs = {**named, "list": self.list, "sort": self.sort}
        return urlencode({name: value for name, value in pairs.items() if value} or {"list": "all"})


class CappedPaginator(_Paginator):
    """Counts to ``COUNTED`` at most, so that a page costs the same over any number of studies."""

    @cached_property
    def count(self) -> int:
        """The number of studies, at most ``COUNTED``."""
        ids = cast("Sequence[UUID] | QuerySet[Study, UUID] | Phases", self.object_list)
        if isinstance(ids, QuerySet):
            return ids.order_by()[:COUNTED].count()
        return ids.count_to(COUNTED) if isinstance(ids, Phases) else len(ids)

    @property
    def is_capped(self) -> bool:
        """Whether there may be more studies than ``count``."""
        return self.count >= COUNTED


def studies_of(access: ClinicAccess, filters: Filters) -> QuerySet[Study, UUID] | Phases:
    """The ids of the studies that the filters leave, in order, to be sliced."""
    return ordered(access, _filtered(access, filters), filters.sort)


def worklist_page(access: ClinicAccess, filters: Filters, number: str | None) -> Page[ListedStudy]:
    """One page of the studies that this person may see, filtered and in order; seven queries at most.

    ``number`` is the page's number from the address.
    """
    # Ids alone: what the database sorts stays small, also where it has to sort all studies.
    ids = studies_of(access, filters)
    # A search reads every reference of the clinic, and failures are looked up one by one: load the ids at
    # once then, so that this is not done for the rows and again to count them.
    at_once = filters.text or filters.state == Analysis.State.FAILED
    listed = cast("QuerySet[Study, UUID]", list(ids[:COUNTED]) if at_once else ids)
    page = CappedPaginator(listed, PER_PAGE).get_page(number)
    of_page = list(page)
    rows = _rows(reads_blind(access)).rows(ids=of_page, user=access.user.pk) if of_page else []
    by_id = {row[0]: ListedStudy._make(row) for row in rows}
    studies = [by_id[pk] for pk in of_page if pk in by_id]
    return Page(studies, page.number, cast("Paginator[ListedStudy]", page.paginator))


@cache
def _rows(is_blind: bool) -> Prepared:
    """The rows of a page, for a person who reads blind or does not."""

    def build(ids: list[UUID], user: int) -> QuerySet[Study, tuple[Any, ...]]:
        access = ClinicAccess(User(pk=user), Clinic(blind_first=is_blind), frozenset({Role.READER}))
        studies = Study.objects.filter(is_one_of(Value(ids, output_field=ArrayField(UUIDField()))))
        rows = with_revealed(access, with_status(studies))
        rows = rows.annotate(is_read=read_by(access), own_review=own_review(access))
        return rows.values_list(*_COLUMNS)

    return Prepared(build, ids=[uuid4()], user=-1)


def bundles_of(studies: Iterable[ListedStudy]) -> dict[int, Bundle]:
    """The bundles of the results of a page, by their ids; one query at most."""
    ids = {study.bundle_id for study in studies} - {None}
    return Bundle.objects.in_bulk(ids) if ids else {}


def active_bundle(bundles: Mapping[int, Bundle]) -> Bundle | None:
    """The active bundle: mostly one of those of the page's results, which are loaded already."""
    active = next((bundle for bundle in bundles.values() if bundle.is_active), None)
    return active or Bundle.objects.active().first()


def verdict_choices(bundle: Bundle | None) -> list[Choice]:
    """The outcomes that the bundle may give, in its words; none without a bundle."""
    if bundle is None:
        return []
    return [Choice(code, verdict_word(bundle.manifest, code)) for code in outcomes_of(bundle)]


def reader_choices(bundle: Bundle | None) -> list[Choice]:
    """The verdicts that a reader may give, in the bundle's words; none without a bundle."""
    return [Choice(code, verdict_word(bundle.manifest, code)) for code in Verdict.values] if bundle else []


def body_part_choices(bundle: Bundle | None) -> list[Choice]:
    """The body parts of the bundle; none without a bundle."""
    return [Choice(body_part, body_part_word(body_part)) for body_part in bundle.body_parts] if bundle else []


def state_choices() -> list[Choice]:
    """The states to filter by."""
    return [Choice(value, str(word)) for value, word in STATES.items()]


def _filtered(access: ClinicAccess, filters: Filters) -> QuerySet[Study]:
    studies = access.studies(listed=True)
    if filters.verdict or filters.body_part:
        # A filter by prediction reveals the prediction of the studies that it finds.
        studies = visible_predictions(access, studies)
    if filters.verdict:
        studies = studies.filter(has_outcome(filters.verdict, "result_"))
    if filters.body_part:
        studies = studies.filter(result_body_part=filters.body_part)
    if filters.state:
        studies = _in_state(access, studies, filters.state)
    if filters.text:
        # Anywhere in a reference; names of files from their beginning only, for which there is an index.
        uploads = Upload.objects.filter(image__clinic=access.clinic, filename__istartswith=filters.text)
        studies = studies.filter(
            Q(patient_reference__icontains=filters.text) | Q(pk__in=uploads.values("image__study"))
        )
    # An uploader gets no tab that shows what readers said.
    return in_tab(access, filters.list, studies) if filters.list in tabs_of(access) else studies


def _in_state(access: ClinicAccess, studies: QuerySet[Study], state: str) -> QuerySet[Study]:
    if state == "open":
        return studies.filter(state=Study.State.OPEN)
    if state == "done":
        return studies.filter(current__isnull=False)
    analyses = Analysis.objects.primary().filter(clinic=access.clinic, state=state)
    if state != Analysis.State.FAILED:
        return studies.filter(pk__in=analyses.values("study"))
    failed = ArraySubquery(analyses.order_by("-finished_at").values("study")[:COUNTED])
    return studies.filter(is_one_of(failed)).annotate(latest=latest_state()).filter(latest=state)


def is_one_of(ids: Combinable) -> Func:
    """``pk = ANY(…)`` of an array: a join looks at all studies, since the database expects many ids."""
    return Func(
        F("pk"),
        ids,
        template="%(expressions)s)",
        arg_joiner=" = ANY(",
        output_field=BooleanField(),
    )
