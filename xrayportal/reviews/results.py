"""Which analyses count where predictions are compared: one per study and bundle."""

from __future__ import annotations

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from xrayportal.analyses.models import Analysis

#: The bundle's own answer: a part that a reader corrected afterwards is not held for or against it.
_UNAIDED = Q(forced_part="") | Q(forced_part=F("study__stated_part"))


def counted(analyses: QuerySet[Analysis]) -> QuerySet[Analysis]:
    """Of each study and bundle the newest succeeded analysis without a reader's part, primary or shadow."""
    newer = Analysis.objects.filter(
        _UNAIDED,
        study=OuterRef("study"),
        bundle=OuterRef("bundle"),
        state=Analysis.State.SUCCEEDED,
        requested_at__gt=OuterRef("requested_at"),
    )
    return analyses.filter(_UNAIDED, state=Analysis.State.SUCCEEDED).filter(~Exists(newer))
