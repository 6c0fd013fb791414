"""What the browser fetches before it is asked for: the other views, and the first view of the next studies.

Blind first holds: nothing of a prediction is named for a study whose prediction is hidden from this person.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence

from django.urls import reverse

from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Finding
from xrayportal.reviews.blind import with_revealed
from xrayportal.web.study.result import StudyResult, strongest

#: More views of one study are not held in the browser's memory at once.
MOST_VIEWS = 4


def views_ahead(access: ClinicAccess, result: StudyResult) -> str:
    """The views of the study that are not shown yet, as JSON for ``static/study/viewer/ahead.js``."""
    findings = [view.finding for view in result.views if view.finding and not view.is_shown]
    return _json(access, [(finding, result.revealed) for finding in findings[:MOST_VIEWS]])


def studies_ahead(access: ClinicAccess, studies: Sequence[uuid.UUID]) -> str:
    """The view with which the page of each of ``studies`` opens, as JSON; two queries at most."""
    if not studies:
        return "[]"
    rows = with_revealed(access, access.studies().filter(pk__in=studies, current__isnull=False))
    by_analysis = {
        analysis: (pk, revealed) for pk, analysis, revealed in rows.values_list("pk", "current", "revealed")
    }
    findings: dict[uuid.UUID, list[Finding]] = {}
    ordered = Finding.objects.filter(analysis__in=by_analysis).order_by("image__created_at", "image")
    for finding in ordered if by_analysis else ():
        findings.setdefault(finding.analysis_id, []).append(finding)
    first = {}
    for analysis, views in findings.items():
        pk, revealed = by_analysis[analysis]
        first[pk] = (views[strongest(views) if revealed else 0], revealed)
    return _json(access, [first[pk] for pk in studies if pk in first])


def _json(access: ClinicAccess, findings: Iterable[tuple[Finding, bool]]) -> str:
    return json.dumps([_facts(access, finding, revealed) for finding, revealed in findings])


def _facts(access: ClinicAccess, finding: Finding, revealed: bool) -> dict[str, str | int]:
    def address(kind: str) -> str:
        return reverse("finding-file", args=[access.clinic.slug, finding.pk, kind])

    facts: dict[str, str | int] = {
        "display": address("display"),
        "width": finding.width,
        "height": finding.height,
    }
    return facts | ({"map": address("map")} if revealed and finding.has_heatmap else {})
