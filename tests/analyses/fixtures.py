"""Analyses that wait, and leases that end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from tests.factories import make_bundle, make_study, make_submission
from xrayportal.analyses.models import Analysis
from xrayportal.clinics.models import Clinic
from xrayportal.studies.models import Submission


@pytest.fixture
def waiting() -> Callable[..., Analysis]:
    """Makes a queued analysis of a new study without files: ``waiting(clinic, queue="bulk", …)``."""
    submissions: dict[Any, Submission] = {}

    def make(clinic: Clinic, **fields: Any) -> Analysis:
        if clinic.pk not in submissions:
            submissions[clinic.pk] = make_submission(clinic)
        study = make_study(submission=submissions[clinic.pk], views=0)
        return Analysis.objects.create(
            clinic=clinic,
            study=study,
            bundle=make_bundle(),
            threshold_low=0.2,
            threshold_high=0.7,
            **fields,
        )

    return make


@pytest.fixture
def expire() -> Callable[[Analysis], None]:
    """Lets the lease of a running analysis end now."""

    def end(analysis: Analysis) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE analyses_analysis SET leased_until = statement_timestamp() - interval '1 second'"
                " WHERE id = %s AND state = 'running'",
                [analysis.pk],
            )

    return end


@pytest.fixture
def explain() -> Callable[[str, Any], str]:
    """The plan by which PostgreSQL ran a statement."""

    def plan(statement: str, parameters: Any) -> str:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters)
            return "\n".join(row[0] for row in cursor.fetchall())

    return plan
