"""How many studies wait in the tabs of the worklist: counted to a limit, and remembered for a moment."""

from __future__ import annotations

from collections import Counter

from django.core.cache import cache
from django.db.models import Value

from xrayportal.access import ClinicAccess, Permission
from xrayportal.worklist.tabs import in_tab, tabs_of

#: A count ends here, so that it costs the same over any number of studies.
MOST = 100
#: Tabs that are work to be done; the others only grow.
COUNTED = ("unread", "drafts", "review", "disagreements")
_REMEMBERED_SECONDS = 20


def tab_counts(access: ClinicAccess) -> dict[str, int]:
    """Studies by the code of a tab of ``COUNTED`` that this person gets, at most ``MOST`` each.

    Nothing for whoever only sends: reading is not their work. One query, none while an earlier answer is not
    older than ``_REMEMBERED_SECONDS``.
    """
    if not access.may(Permission.SEE_ALL):
        return {}
    key = f"worklist.counts:{access.clinic.pk}:{access.user.pk}:{','.join(sorted(access.roles))}"
    counts: dict[str, int] | None = cache.get(key)
    if counts is None:
        codes = [code for code in tabs_of(access) if code in COUNTED]
        first, *others = (
            in_tab(access, code, access.studies(listed=True))
            .order_by()
            .annotate(tab=Value(code))
            .values_list("tab", flat=True)[:MOST]
            for code in codes
        )
        found = Counter(first.union(*others, all=True) if others else first)
        counts = {code: found[code] for code in codes}
        cache.set(key, counts, _REMEMBERED_SECONDS)
    return counts


def count_words(count: int) -> str:
    """``"12"``, ``"99+"`` where counting ended, and nothing for none."""
    return f"{MOST - 1}+" if count >= MOST else str(count or "")
