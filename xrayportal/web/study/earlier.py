"""Other studies of the same patient reference, for a list and for a comparison side by side.

Blind first holds for each of them.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db.models import QuerySet

from xrayportal.access import ClinicAccess
from xrayportal.analyses.latest import with_status
from xrayportal.analyses.models import Finding
from xrayportal.reviews.blind import with_revealed
from xrayportal.studies.models import Study

#: More of one reference is a mistake in the reference, not a patient's history.
SHOWN = 24


@dataclass(frozen=True)
class ComparisonStudy:
    """Another study of the reference and its first picture, to show beside the study that is open.

    ``revealed``: with its heatmap.
    """

    study: Study
    finding: Finding
    revealed: bool


def earlier_of(access: ClinicAccess, study: Study) -> list[Study]:
    """The other studies of the reference that this person may see, newest first. One query at most."""
    if not study.patient_reference:
        return []
    others = with_status(with_revealed(access, _others(access, study))).select_related("current__bundle")
    return list(others.order_by("-created_at", "pk")[:SHOWN])


def comparison_of(access: ClinicAccess, study: Study, text: str) -> ComparisonStudy | None:
    """The study of the same reference whose id is ``text``, if it has a picture; two queries at most."""
    try:
        pk = uuid.UUID(text)
    except ValueError:
        return None
    if not study.patient_reference:
        return None
    other = with_revealed(access, _others(access, study)).filter(pk=pk, current__isnull=False).first()
    if other is None:
        return None
    first = Finding.objects.filter(analysis=other.current_id).order_by("image__created_at", "image").first()
    if first is None:
        return None
    return ComparisonStudy(other, first, other.revealed)


def _others(access: ClinicAccess, study: Study) -> QuerySet[Study]:
    return access.studies().filter(patient_reference=study.patient_reference).exclude(pk=study.pk)
