"""Stores the results of analyses: one or several, by the same few statements."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import fields

from django.db import connection

from xrayportal.analyses.models import Analysis, Finding
from xrayportal.analyses.results import AnalysisResult, ViewResult
from xrayportal.audit.models import Action
from xrayportal.audit.services import new_event, record_all
from xrayportal.clinics.actors import Actor

#: Skips what somebody else holds, and what a wait would have changed.
_LOCK_FREE = """
SELECT a.id
FROM unnest(%(ids)s::uuid[], %(attempts)s::int[]) AS mine (id, attempt)
JOIN analyses_analysis AS a ON a.id = mine.id AND a.attempt = mine.attempt
JOIN studies_study AS study ON study.id = a.study_id
WHERE a.state = 'running' AND NOT a.cancel_requested
FOR NO KEY UPDATE OF study, a SKIP LOCKED
"""

#: What a result sets in the row of its analysis.
_COLUMNS = (
    *("verdict", "reason", "leaning", "body_part", "body_parts", "probability", "views", "unreadable"),
    *("runtime", "precision", "software", "milliseconds"),
)

_SUCCEED = f"""
UPDATE analyses_analysis AS a
SET state = 'succeeded', leased_until = NULL, finished_at = statement_timestamp(),
    {", ".join(f"{name} = done.{name}" for name in _COLUMNS)}
FROM jsonb_populate_recordset(NULL::analyses_analysis, %(done)s) AS done
WHERE a.id = done.id
"""  # noqa: S608  # the names are those above

# The study is held by us, so what it names does not change any more; the statement sees it as it is now.
_MAKE_CURRENT = """
UPDATE studies_study AS study SET current_id = a.id
FROM (
    SELECT DISTINCT ON (study_id) id, study_id, requested_at FROM analyses_analysis
    WHERE id = ANY(%(ids)s) AND purpose = 'primary'
    ORDER BY study_id, requested_at DESC
) AS a
WHERE study.id = a.study_id AND NOT EXISTS (
    SELECT FROM analyses_analysis AS newer
    WHERE newer.id = study.current_id AND newer.requested_at > a.requested_at
)
"""


def lock_free(claims: Sequence[Analysis]) -> set[uuid.UUID]:
    """Lock the claims' studies and analyses that nobody else holds; returns the ids of those analyses.

    Those whose attempt is over or called off are not among them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _LOCK_FREE,
            {
                "ids": [claim.pk for claim in claims],
                "attempts": [claim.attempt for claim in claims],
            },
        )
        return {row[0] for row in cursor.fetchall()}


def store_results(finished: Sequence[tuple[Analysis, AnalysisResult]]) -> None:
    """Write results whose studies and analyses this transaction has locked: rows of each table at once."""
    if not finished:
        return
    done = [_as_row(claim, result) for claim, result in finished]
    with connection.cursor() as cursor:
        cursor.execute(_SUCCEED, {"done": json.dumps(done, allow_nan=False)})
    Finding.objects.bulk_create(
        [_finding(claim, view) for claim, result in finished for view in result.views]
    )
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_CURRENT, {"ids": [claim.pk for claim, _ in finished]})
    record_all(
        new_event(
            clinic=claim.clinic_id,
            action=Action.ANALYSIS_SUCCEEDED,
            actor=Actor(name=claim.worker),
            target=claim,
            study=claim.study_id,
            detail={
                "attempt": claim.attempt,
                "bundle": claim.bundle.name,
                "unreadable": len(result.unreadable),
            },
        )
        for claim, result in finished
    )


def _as_row(claim: Analysis, result: AnalysisResult) -> dict[str, object]:
    """The columns of ``_COLUMNS``."""
    views = len(result.views) + len(result.unreadable)
    unreadable = [view.as_json() for view in result.unreadable]
    given = {name: getattr(result, name) for name in _COLUMNS if name != "views"}
    return {"id": str(claim.pk), **given, "views": views, "unreadable": unreadable}


def _finding(claim: Analysis, view: ViewResult) -> Finding:
    """The row of a view; its fields have the names that the worker's record has, but for the peak."""
    values = {field.name: getattr(view, field.name) for field in fields(view) if field.name != "peak"}
    peak_x, peak_y = view.peak or (None, None)
    return Finding(analysis=claim, peak_x=peak_x, peak_y=peak_y, **values)
