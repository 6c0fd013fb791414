"""The rows of the worklist: filters from the address, one page of studies, a constant number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.core.paginator import Page, Paginator
from django.db.models import BooleanField, F, Func, Q, QuerySet
from django.http import QueryDict
from django.utils.functional import cached_property
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from xrayportal.access import ClinicAccess
from xrayportal.analyses.latest import RowFacts, latest_state, with_status
from xrayportal.analyses.models import Analysis, Bundle, Verdict
from xrayportal.reviews.blind import Revealed, visible_predictions, with_revealed
from xrayportal.studies.models import Study, Upload
from xrayportal.web.shared.status import WORDS
from xrayportal.words import body_part_word, verdict_word
from xrayportal.worklist.marks import read_by
from xrayportal.worklist.order import ORDERS, Phases, ordered
from xrayportal.worklist.tabs import TABS, in_tab, tabs_of

PER_PAGE = 50
#: Nobody pages further, and counting further costs time on every view.
COUNTED = 10_000
ALL = _("All")
STATES = {
    "open": _("Receiving views"),
    Analysis.State.QUEUED.value: WORDS[Analysis.State.QUEUED],
    Analysis.State.RUNNING.value: WORDS[Analysis.State.RUNNING],
    "done": WORDS[Analysis.State.SUCCEEDED],
    Analysis.State.FAILED.value: WORDS[Analysis.State.FAILED],
}


if TYPE_CHECKING:
    _Paginator = Paginator[UUID]
else:  # generic for the type checker only
    _Paginator = Paginator


class ListedFacts(RowFacts, Revealed):
    """What ``worklist_page`` adds to a study."""

    is_read: bool


if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    ListedStudy = WithAnnotations[Study, ListedFacts]


@dataclass(frozen=True)
class Choice:
    """One option of a filter."""

    value: str
    word: str


@dataclass(frozen=True)
class Filters:
    """What the address asks for; an unknown value is no filter."""

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
            verdict=query.get("verdict", "") if query.get("verdict") in Verdict.values else "",
            body_part=query.get("body_part", "")[:32].replace("\0", ""),
            state=query.get("state", "") if query.get("state") in STATES else "",
            text=query.get("q", "").strip()[:64].replace("\0", ""),
            list=query.get("list", "") if query.get("list") in TABS else "",
            sort=query.get("sort", "") if query.get("sort") in ORDERS else "",
        )

    @property
    def any(self) -> bool:
        """Whether anything is filtered out."""
        return any((self.verdict, self.body_part, self.state, self.text, self.list))

    def with_list(self, code: str) -> Filters:
        """The same filters over another list."""
        return replace(self, list=code)

    def with_sort(self, code: str) -> Filters:
        """The same filters in another order."""
        return replace(self, sort=code)

    @property
    def query(self) -> str:
        """As an address says it, always in the same order, without what is empty."""
        named = {"q": self.text, "verdict": self.verdict, "body_part": self.body_part, "state": self.state}
        pairs = {**named, "list": self.list, "sort": self.sort}
        return urlencode({name: value for name, value in pairs.items() if value})


class CappedPaginator(_Paginator):
    """Counts to ``COUNTED`` at most, so that a page costs the same over any number of studies."""

    @cached_property
    def count(self) -> int:
        """Studies found, at most ``COUNTED``."""
        found = cast("Sequence[UUID] | QuerySet[Study, UUID] | Phases", self.object_list)
        if isinstance(found, QuerySet):
            return found.order_by()[:COUNTED].count()
        return found.count_to(COUNTED) if isinstance(found, Phases) else len(found)

    @property
    def is_capped(self) -> bool:
        """There may be more than ``count`` says."""
        return self.count >= COUNTED


def worklist_page(access: ClinicAccess, filters: Filters, number: str | None) -> Page[ListedStudy]:
    """One page of the studies that this person may see, in the order they asked for; six queries at most."""
    # Ids alone: what the database sorts stays small, also where it has to sort all.
    found = ordered(access, _filtered(access, filters), filters.sort)
    # A search reads every reference of the clinic, and what failed is looked up one by one: once, not once
    # for the rows and once to count them.
    at_once = filters.text or filters.state == Analysis.State.FAILED
    listed = cast("QuerySet[Study, UUID]", list(found[:COUNTED]) if at_once else found)
    ids = CappedPaginator(listed, PER_PAGE).get_page(number)
    wanted = list(ids)
    shown = with_revealed(access, with_status(Study.objects.filter(pk__in=wanted)))
    shown = shown.annotate(is_read=read_by(access)).select_related("current__bundle", "consensus")
    by_id = {study.pk: study for study in cast("QuerySet[ListedStudy]", shown)}
    studies = [by_id[pk] for pk in wanted if pk in by_id]
    return Page(studies, ids.number, cast("Paginator[ListedStudy]", ids.paginator))


def verdict_choices(bundle: Bundle | None) -> list[Choice]:
    """The four verdicts in the active bundle's words."""
    if bundle is None:
        return []
    return [Choice(code, verdict_word(bundle.manifest, code)) for code in Verdict.values]


def body_part_choices(bundle: Bundle | None) -> list[Choice]:
    """The body parts of the active bundle."""
    return [Choice(body_part, body_part_word(body_part)) for body_part in bundle.body_parts] if bundle else []


def state_choices() -> list[Choice]:
    """Where a study can stand."""
    return [Choice(value, str(word)) for value, word in STATES.items()]


def _filtered(access: ClinicAccess, filters: Filters) -> QuerySet[Study]:
    studies = access.studies(listed=True)
    if filters.verdict or filters.body_part:
        # Which studies a filter by prediction finds would tell the prediction.
        studies = visible_predictions(access, studies)
    if filters.verdict:
        studies = studies.filter(result_verdict=filters.verdict)
    if filters.body_part:
        studies = studies.filter(result_body_part=filters.body_part)
    if filters.state:
        studies = _in_state(access, studies, filters.state)
    if filters.text:
        # References anywhere, names from their beginning: there is an index for those.
        named = Upload.objects.filter(image__clinic=access.clinic, filename__istartswith=filters.text)
        studies = studies.filter(
            Q(patient_reference__icontains=filters.text) | Q(pk__in=named.values("image__study"))
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
    failed = analyses.order_by("-finished_at").values("study")[:COUNTED]
    return studies.filter(_is_one_of(failed)).annotate(latest=latest_state()).filter(latest=state)


def _is_one_of(ids: QuerySet[Any, Any]) -> Func:
    """``pk IN (…)``, through an array: a join looks at all studies, since the database expects many ids."""
    return Func(
        F("pk"),
        ArraySubquery(ids),
        template="%(expressions)s)",
        arg_joiner=" = ANY(",
        output_field=BooleanField(),
    )
