"""Bundles, workers and the queue for support: ids and states, no verdict, no file."""

from __future__ import annotations

from django.contrib import admin

from xrayportal.admin import ReadOnlyAdmin
from xrayportal.analyses.models import Analysis, Bundle, Worker


@admin.register(Bundle)
class BundleAdmin(ReadOnlyAdmin):
    """Released networks; ``manage.py bundle`` registers and activates them."""

    shown_fields = [
        "name",
        "folder",
        "manifest_sha256",
        "is_active",
        "registered_at",
        "activated_at",
    ]
    ordering = ["-registered_at"]


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Live worker children."""

    shown_fields = ["name", "bundle", "runtime", "precision", "software", "started_at", "last_seen"]
    ordering = ["-last_seen"]


@admin.register(Analysis)
class AnalysisAdmin(ReadOnlyAdmin):
    """Where analyses are in the queue, and of which kind failures were."""

    shown_fields = [
        *("id", "clinic", "study", "bundle", "purpose", "state", "queue", "priority"),
        *("requested_at", "attempt", "started_at", "leased_until", "worker", "finished_at", "error_kind"),
    ]
    list_filter = ["state", "queue", "error_kind", "clinic"]
    filtered_by = ["study"]
    list_select_related = ["clinic", "bundle"]
    ordering = ["-requested_at"]
