"""The entries of the sidebar, in order, each with the permission that it needs."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from xrayportal.access import Permission


@dataclass(frozen=True)
class SidebarEntry:
    """One entry of the sidebar.

    ``name`` is the name of its address, ``covers`` are the names of all addresses that mark it as current.
    """

    name: str
    word: Promise
    icon: str
    permission: Permission
    covers: frozenset[str]


SIDEBAR = (
    SidebarEntry(
        "worklist",
        _("Worklist"),
        "list-checks",
        Permission.SEE_OWN,
        frozenset({"worklist", "study", "reading"}),
    ),
    SidebarEntry("upload", _("Upload"), "upload", Permission.SUBMIT, frozenset({"upload"})),
    SidebarEntry(
        "submissions", _("Submissions"), "inbox", Permission.SEE_OWN, frozenset({"submissions", "submission"})
    ),
    SidebarEntry(
        "disagreements", _("Disagreements"), "gavel", Permission.SEE_ALL, frozenset({"disagreements"})
    ),
    SidebarEntry("scorecard", _("Scorecard"), "chart-column", Permission.MANAGE, frozenset({"scorecard"})),
    SidebarEntry("history", _("History"), "history", Permission.MANAGE, frozenset({"history"})),
    SidebarEntry(
        "clinic-operations",
        _("Operations"),
        "activity",
        Permission.MANAGE,
        frozenset({"access-report", "clinic-operations"}),
    ),
    SidebarEntry(
        "people",
        _("Settings"),
        "settings",
        Permission.MANAGE,
        frozenset({"people", "clinic-settings", "dicom-settings", "tokens", "webhooks", "webhook"}),
    ),
)
