"""A person's own marks on studies: which they have opened, and where their review stands."""

from __future__ import annotations

from django.db.models import Case, CharField, Exists, OuterRef, Value, When

from xrayportal.access import ClinicAccess
from xrayportal.reviews.models import Review
from xrayportal.worklist.models import StudyViewed


def read_by(access: ClinicAccess) -> Exists:
    """Whether the person has opened the study, as an annotation or a condition on studies."""
    return Exists(StudyViewed.objects.filter(user=access.user, study=OuterRef("pk")))


def own_review(access: ClinicAccess) -> Case:
    """``"draft"``, ``"signed"`` or empty: where the person's review of the study stands, as an annotation.

    An adjudicator who signed a reading and began the adjudication has a draft.
    """
    own = Review.objects.filter(reader=access.user, is_current=True, study=OuterRef("pk"))
    return Case(
        When(Exists(own.filter(signed_at__isnull=True)), then=Value("draft")),
        When(Exists(own), then=Value("signed")),
        default=Value(""),
        output_field=CharField(),
    )
