"""The newest analysis of a study for lists: one subquery each, whatever the list."""

from __future__ import annotations

from django.db.models import Case, CharField, Exists, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from xrayportal.analyses.models import Analysis
from xrayportal.studies.models import Submission


def newest(study: str = "pk") -> QuerySet[Analysis]:
    """The primary analyses of the study that ``OuterRef(study)`` names, newest first."""
    primary = Analysis.objects.filter(study=OuterRef(study), purpose=Analysis.Purpose.PRIMARY)
    return primary.order_by("-requested_at")


def latest_state(study: str = "pk", submission_state: str = "submission__state") -> Coalesce:
    """Where the study stands: empty before its first analysis.

    One that was called off says nothing new where another came before it.
    """
    never_came = When(**{submission_state: Submission.State.CANCELLED}, then=Value("cancelled"))
    called_off = When(Exists(newest(study)), then=Value("cancelled"))
    return Coalesce(
        Subquery(newest(study).exclude(state=Analysis.State.CANCELLED).values("state")[:1]),
        Case(called_off, never_came, default=Value("")),
        output_field=CharField(),
    )
