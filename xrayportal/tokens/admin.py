"""The admin of tokens, which shows and never changes them."""

from __future__ import annotations

from django.contrib import admin

from xrayportal.admin import ReadOnlyAdmin
from xrayportal.tokens.models import ApiToken


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens by clinic; the clinic's admin makes and revokes them."""

    shown_fields = ["clinic", "name", "role", "created_at", "expires_at", "revoked_at", "last_used_at"]
    list_filter = ["clinic"]
    list_select_related = ["clinic"]
