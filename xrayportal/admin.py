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
    """An admin that shows ids and states only, and changes nothing."""

    #: The fields of the list and of a row's own page: no patient content.
    shown_fields: ClassVar[list[str]] = []
    show_full_result_count = False

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The fields of a row in the list."""
        return self.shown_fields

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """The fields of the row's own page."""
        return self.shown_fields

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Only by shown fields: a filter by a verdict or a patient reference would reveal it."""
        is_shown = lookup.partition("__")[0] in self.shown_fields
        return is_shown and super().lookup_allowed(lookup, value, request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Never."""
        return False
