"""What a person keeps of the worklist in one clinic: views with a name, and the list to come back to."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import QueryDict

from xrayportal.access import ClinicAccess, Permission
from xrayportal.web.worklist.rows import Filters
from xrayportal.worklist.models import SavedView
from xrayportal.worklist.services import remember_list


@dataclass(frozen=True)
class OwnLists:
    """The views that a person has saved, and the list that an address without a query means."""

    views: list[SavedView]
    last: Filters

    def asked_for(self, query: QueryDict) -> Filters:
        """The filters of an address; those of ``last`` where it names none."""
        return Filters.read(query) if Filters.are_named_in(query) else self.last


def own_lists(access: ClinicAccess) -> OwnLists:
    """What this person keeps; one query."""
    rows = SavedView.objects.filter(user=access.user, clinic=access.clinic)
    by_name = {row.name: row for row in rows}
    last = by_name.pop("", None)
    return OwnLists(
        views=list(by_name.values()),
        last=Filters.read(QueryDict(last.query)) if last else start_of(access),
    )


def start_of(access: ClinicAccess) -> Filters:
    """The list that a person begins with: for readers what needs a review, most urgent first; else all."""
    return Filters(list="review", sort="urgency") if access.may(Permission.REVIEW) else Filters()


def remember(access: ClinicAccess, own: OwnLists, filters: Filters) -> None:
    """Remember that this person looks at a list now, without its search words; no query if it is the last."""
    shown = filters.without_text()
    if shown != own.last:
        remember_list(access=access, query=shown.query)
