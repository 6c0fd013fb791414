"""Other studies of the same patient reference, beside the one that is read; blind first holds for each."""

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
class Beside:
    """Another study's first picture, to be shown beside; ``revealed``: with its heatmap."""

    study: Study
    finding: Finding
    revealed: bool


def earlier_of(access: ClinicAccess, study: Study) -> list[Study]:
    """Those that this person may see, newest first; each with what a row needs. One query at most."""
    if not study.patient_reference:
        return []
    others = with_status(with_revealed(access, _others(access, study))).select_related("current__bundle")
    return list(others.order_by("-created_at", "pk")[:SHOWN])


def beside_of(access: ClinicAccess, study: Study, wanted: str | None) -> Beside | None:
    """The study of the same reference that the address names, if it has a picture; two queries at most."""
    try:
        pk = uuid.UUID(wanted or "")
    except ValueError:
        return None
    if not study.patient_reference:
        return None
    found = with_revealed(access, _others(access, study)).filter(pk=pk, current__isnull=False).first()
    if found is None:
        return None
    first = Finding.objects.filter(analysis=found.current_id).order_by("image__created_at", "image").first()
    if first is None:
        return None
    return Beside(found, first, found.revealed)


def _others(access: ClinicAccess, study: Study) -> QuerySet[Study]:
    return access.studies().filter(patient_reference=study.patient_reference).exclude(pk=study.pk)
