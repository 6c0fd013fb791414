"""The places of the sidebar, in order, and who may go there."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from xrayportal.access import Permission


@dataclass(frozen=True)
class Place:
    """One entry of the sidebar; ``covers`` names the addresses that mark it as the current one."""

    name: str
    word: Promise
    icon: str
    permission: Permission
    covers: frozenset[str]


SIDEBAR = (
    Place("worklist", _("Worklist"), "list-checks", Permission.SEE_OWN, frozenset({"worklist", "study"})),
    Place("upload", _("Upload"), "upload", Permission.SUBMIT, frozenset({"upload"})),
    Place(
        "submissions", _("Submissions"), "inbox", Permission.SEE_OWN, frozenset({"submissions", "submission"})
    ),
    Place("disagreements", _("Disagreements"), "gavel", Permission.SEE_ALL, frozenset({"disagreements"})),
    Place(
        "scorecard", _("Scorecard"), "chart-column", Permission.MANAGE, frozenset({"scorecard", "history"})
    ),
    Place(
        "clinic-operations", _("Operations"), "activity", Permission.MANAGE, frozenset({"clinic-operations"})
    ),
    Place("people", _("Settings"), "settings", Permission.MANAGE, frozenset({"people", "clinic-settings"})),
)
