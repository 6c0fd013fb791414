"""Read marks: which studies a person has opened."""

from __future__ import annotations

from django.db.models import Exists, OuterRef

from xrayportal.access import ClinicAccess
from xrayportal.worklist.models import StudyViewed


def read_by(access: ClinicAccess) -> Exists:
    """Whether the person has opened the study, as an annotation or a condition on studies."""
    return Exists(StudyViewed.objects.filter(user=access.user, study=OuterRef("pk")))
