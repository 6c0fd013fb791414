"""The places of the rail, in order, and who may go there."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from xrayportal.access import Permit


@dataclass(frozen=True)
class Place:
    """One entry of the rail; ``covers`` names the addresses that mark it as the current one."""

    name: str
    word: Promise
    icon: str
    permit: Permit
    covers: frozenset[str]


RAIL = (
    Place("worklist", _("Worklist"), "list-checks", Permit.SEE_OWN, frozenset({"worklist", "study"})),
    Place("upload", _("Upload"), "upload", Permit.SUBMIT, frozenset({"upload"})),
    Place("submissions", _("Submissions"), "inbox", Permit.SEE_OWN, frozenset({"submissions", "submission"})),
    Place("disagreements", _("Settle"), "gavel", Permit.SEE_ALL, frozenset({"disagreements"})),
    Place("scorecard", _("Scorecard"), "chart-column", Permit.MANAGE, frozenset({"scorecard", "history"})),
    Place("clinic-operations", _("Operations"), "activity", Permit.MANAGE, frozenset({"clinic-operations"})),
    Place("people", _("Settings"), "settings", Permit.MANAGE, frozenset({"people", "clinic-settings"})),
)
