"""Submissions and studies for support: ids and states, no patient content, no file."""

from __future__ import annotations

from django.contrib import admin

from xrayportal.admin import ReadOnlyAdmin
from xrayportal.studies.models import Study, Submission


@admin.register(Submission)
class SubmissionAdmin(ReadOnlyAdmin):
    """The states of submissions."""

    shown_fields = [
        *("id", "clinic", "source", "state", "queue", "expected_files"),
        *("created_at", "last_upload_at", "finished_at"),
    ]
    list_filter = ["state", "queue", "clinic"]
    list_select_related = ["clinic"]
    ordering = ["-created_at"]


@admin.register(Study)
class StudyAdmin(ReadOnlyAdmin):
    """The states of studies."""

    shown_fields = ["id", "clinic", "submission", "state", "priority", "created_at", "sealed_at"]
    list_filter = ["state", "clinic"]
    list_select_related = ["clinic"]
    ordering = ["-created_at"]
