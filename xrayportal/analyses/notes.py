"""The notes on an analysis' pictures in one row of an export."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef

from xrayportal.analyses.models import Finding


def notes_of_views(analysis: str) -> ArraySubquery:
    """The notes of every view, in their order, of the analysis that the outer query calls ``analysis``."""
    findings = Finding.objects.filter(analysis=OuterRef(analysis)).order_by("image__created_at", "image")
    return ArraySubquery(findings.values("notes"))


def joined(notes: Iterable[Iterable[str]]) -> str:
    """The codes of all views, each once, with spaces between."""
    return " ".join(dict.fromkeys(code for view in notes for code in view))
