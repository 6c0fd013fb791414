"""What lists show of a study: its newest analysis, and the facts of its row; one subquery each."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, TypedDict

from django.db.models import Case, CharField, Count, Exists, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from xrayportal.analyses.models import Analysis, Finding
from xrayportal.clinics.models import Clinic
from xrayportal.studies.models import Image, Study, Submission, Upload


def newest(study: str = "pk") -> QuerySet[Analysis]:
    """The primary analyses of the study that ``OuterRef(study)`` names, newest first."""
    primary = Analysis.objects.primary().filter(study=OuterRef(study))
    return primary.order_by("-requested_at")


def latest_state(study: str = "pk", submission_state: str = "submission__state") -> Coalesce:
    """The state of the study's newest analysis, as an expression; empty before the first one.

    An analysis that was called off counts only where no other one came before it; a study whose submission
    was cancelled before its first analysis is "cancelled" too. ``study`` and ``submission_state`` are the
    lookups of both from the row that is annotated.
    """
    never_came = When(**{submission_state: Submission.State.CANCELLED}, then=Value("cancelled"))
    called_off = When(Exists(newest(study)), then=Value("cancelled"))
    return Coalesce(
        Subquery(newest(study).exclude(state=Analysis.State.CANCELLED).values("state")[:1]),
        Case(called_off, never_came, default=Value("")),
        output_field=CharField(),
    )


def failures(clinic: Clinic) -> QuerySet[Analysis, uuid.UUID]:
    """The ids of the clinic's studies of which a primary analysis failed, from an index of the failures."""
    failed = Analysis.objects.primary().filter(clinic=clinic, state=Analysis.State.FAILED)
    return failed.values_list("study", flat=True)


class RowFacts(TypedDict):
    """What ``with_status`` adds to a study for its row in a list."""

    latest_state: str
    #: The finding whose thumbnail is shown.
    thumbnail: uuid.UUID | None
    views: int | None
    #: The name of the first file.
    name: str


if TYPE_CHECKING:  # for type checkers only
    from django_stubs_ext import WithAnnotations

    StudyWithStatus = WithAnnotations[Study, RowFacts]


def first_file(study: str = "pk") -> Coalesce:
    """The name of the study's first file, as an expression; ``study`` is the lookup of the study's id."""
    uploads = Upload.objects.filter(image__study=OuterRef(study)).order_by("created_at")
    return Coalesce(Subquery(uploads.values("filename")[:1]), Value(""))


def first_thumbnail() -> Subquery:
    """The finding of the first view of a study's current result, as an expression on studies."""
    findings = Finding.objects.filter(analysis=OuterRef("current"))
    return Subquery(findings.order_by("image__created_at", "image").values("pk")[:1])


def with_status(studies: QuerySet[Study]) -> QuerySet[StudyWithStatus]:
    """The same studies, each with ``RowFacts``."""
    first = Image.objects.filter(study=OuterRef("pk")).order_by("created_at", "pk")
    return studies.annotate(
        latest_state=latest_state(),
        thumbnail=first_thumbnail(),
        views=Subquery(first.order_by().values("study").annotate(n=Count("pk")).values("n")),
        name=first_file(),
    )
