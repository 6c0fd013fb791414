"""Which analyses count where predictions are compared: one per study and bundle."""

from __future__ import annotations

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from xrayportal.analyses.models import Analysis


def counted(analyses: QuerySet[Analysis]) -> QuerySet[Analysis]:
    """Of each study and bundle the newest succeeded analysis, primary or shadow.

    It is the bundle's own answer: one with a part that a reader corrected afterwards is not held for or
    against it, one with a part that the sender stated is.
    """
    newer = Analysis.objects.filter(
        Q(forced_part="") | Q(forced_part=OuterRef("study__stated_part")),
        study=OuterRef("study"),
        bundle=OuterRef("bundle"),
        state=Analysis.State.SUCCEEDED,
        requested_at__gt=OuterRef("requested_at"),
    )
    own = Q(forced_part="") | Q(forced_part=F("study__stated_part"))
    return analyses.filter(own, state=Analysis.State.SUCCEEDED).filter(~Exists(newer))
