"""Other studies of the same patient reference or the same examination, for a list and for a comparison.

An examination is more than one study where views came after it was signed, or from another sender.

Blind first holds for each of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from xrayportal.access import ClinicAccess
from xrayportal.analyses.latest import first_thumbnail, latest_state
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
    """The other studies that this person may see, newest first, each with its thumbnail and state.

    Three queries at most: one where there are none, two where all have a result, which is their state.
    """
    newest = _others(access, study).order_by("-created_at", "pk")
    ids = list(newest.values_list("pk", flat=True)[:SHOWN])
    if not ids:
        return []
    rows = with_revealed(access, access.studies().filter(pk__in=ids)).annotate(thumbnail=first_thumbnail())
    others: list[Study] = list(rows.select_related("current__bundle").order_by("-created_at", "pk"))
    states: dict[uuid.UUID, str] = {}
    if without := [one.pk for one in others if one.current_id is None]:
        unfinished = Study.objects.filter(pk__in=without).annotate(latest=latest_state())
        states = dict(unfinished.values_list("pk", "latest"))
    for one in others:
        one.latest_state = states.get(one.pk, "")  # type: ignore[attr-defined]  # read by the template
    return others


def later_parts(study: Study, earlier: Iterable[Study]) -> list[Study]:
    """Those of ``earlier`` that hold further views of the study's examination, oldest first; no query."""
    parts = [one for one in earlier if one.grouping_key == study.grouping_key and one.part > study.part]
    return sorted(parts, key=lambda one: one.part)


def comparison_of(access: ClinicAccess, study: Study, text: str) -> ComparisonStudy | None:
    """The one of these studies whose id is ``text``, if it has a picture; two queries at most."""
    try:
        pk = uuid.UUID(text)
    except ValueError:
        return None
    other = with_revealed(access, _others(access, study)).filter(pk=pk, current__isnull=False).first()
    if other is None:
        return None
    first = Finding.objects.filter(analysis=other.current_id).order_by("image__created_at", "image").first()
    if first is None:
        return None
    return ComparisonStudy(other, first, other.revealed)


def _others(access: ClinicAccess, study: Study) -> QuerySet[Study]:
    related = Q(grouping_key=study.grouping_key)
    if study.patient_reference:
        related |= Q(patient_reference=study.patient_reference)
    return access.studies().filter(related).exclude(pk=study.pk)
