"""The entries of the sidebar, in order, each with the permission that it needs; the pages of the settings."""

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


def _settings_page(name: str, word: Promise, icon: str, *others: str) -> SidebarEntry:
    return SidebarEntry(name, word, icon, Permission.MANAGE, frozenset({name, *others}))


#: The pages of a clinic's settings, which lead to each other; each is shown again for a form that is refused.
SETTINGS_PAGES = (
    _settings_page("people", _("People"), "users", "people-invite", "people-roles", "people-link"),
    _settings_page("clinic-settings", _("Clinic settings"), "settings"),
    _settings_page("dicom-settings", _("DICOM"), "server", "dicom-add"),
    _settings_page("webhooks", _("Webhooks"), "mail", "webhook"),
    _settings_page("tokens", _("API tokens"), "lock"),
)

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
        frozenset().union(*(page.covers for page in SETTINGS_PAGES)),
    ),
)
