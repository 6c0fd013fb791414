"""The admin of the audit chains, which shows and never changes them."""

from __future__ import annotations

from django.contrib import admin

from xrayportal.admin import ReadOnlyAdmin
from xrayportal.audit.models import AuditEvent


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Events by chain and action; the database itself refuses changes, too."""

    shown_fields = ["at", "clinic", "number", "action", "actor_label", "target_kind", "target_id"]
    list_filter = ["action", "clinic"]
    list_select_related = ["clinic"]
    ordering = ["-id"]  # as they came, over all chains; `verify` finds ids that do not follow a chain
