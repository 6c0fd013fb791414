"""What the admin classes of every room are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

if TYPE_CHECKING:
    RowAdmin = admin.ModelAdmin[Any]
else:  # generic for type checkers only
    RowAdmin = admin.ModelAdmin


class ReadOnlyAdmin(RowAdmin):
    """Rows to look at: ids and states, nothing to change and no patient content."""

    #: The fields of the list and of a row's own page.
    shown: ClassVar[list[str]] = []
    show_full_result_count = False

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """What a row of the list shows."""
        return self.shown

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """What the row's own page shows."""
        return self.shown

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """An address filters by what the list shows; by a verdict or a reference it would tell those."""
        return lookup.partition("__")[0] in self.shown and super().lookup_allowed(lookup, value, request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Never."""
        return False
