"""What the admin classes of every room are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

if TYPE_CHECKING:
    _RowAdmin = admin.ModelAdmin[Any]
else:  # generic for type checkers only
    _RowAdmin = admin.ModelAdmin


class PortalAdmin(_RowAdmin):
    """The base of every admin class: a list answers to the filters that it offers and to no other.

    Django lets an address filter by any field of the model, and by keys of related rows. Comparisons such as
    ``password__startswith`` or ``sessions__session_key__startswith`` read a secret out sign by sign.
    """

    #: Fields that an address may filter by although the page offers no filter: exactly, by value or key.
    filtered_by: ClassVar[list[str]] = []

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether it asks for a field of ``list_filter`` or ``filtered_by``, exactly."""
        offered = [name for name in self.get_list_filter(request) if isinstance(name, str)]
        fields = (self.model._meta.get_field(name) for name in [*offered, *self.filtered_by])
        return any(lookup in _exact_lookups(field) for field in fields)


def _exact_lookups(field: Any) -> set[str]:
    """The lookups by which Django's own filters ask for a field's value, or for its lack."""
    name = field.name
    lookups = {name, f"{name}__exact", f"{name}__isnull"}
    if field.is_relation:
        lookups.add(f"{name}__{field.target_field.name}__exact")
    return lookups


class ReadOnlyAdmin(PortalAdmin):
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

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Never."""
        return False
