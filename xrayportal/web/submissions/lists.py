"""The lists of the submission screens: submissions with their counts, and the files of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, cast

from django.core.paginator import Page, Paginator
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from xrayportal.access import ClinicAccess
from xrayportal.analyses.latest import latest_state, newest
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.reviews.blind import visible_predictions
from xrayportal.studies.models import Study, Submission, Upload
from xrayportal.web.shared.failures import FAILURE
from xrayportal.web.shared.polling import version_expr

FILES_PER_PAGE = 100


class VersionText(TypedDict):
    """What ``with_version`` adds to a submission: a text that changes whenever its page shows otherwise."""

    version: str


if TYPE_CHECKING:  # for type checkers only
    from django_stubs_ext import WithAnnotations

    VersionedSubmission = WithAnnotations[Submission, VersionText]


def with_version(submissions: QuerySet[Submission]) -> QuerySet[VersionedSubmission]:
    """The same submissions, each with the version of its page: state, files, and analyses by state."""
    analyses = Analysis.objects.primary().filter(study__submission=OuterRef("pk")).order_by()
    counts = analyses.values("study__submission").annotate(
        by_state=version_expr(
            Count("pk", filter=Q(state=Analysis.State.QUEUED)),
            Count("pk", filter=Q(state=Analysis.State.RUNNING)),
            Count("pk"),
        )
    )
    uploads = Upload.objects.filter(submission=OuterRef("pk")).order_by().values("submission")
    received = Subquery(uploads.annotate(n=Count("pk")).values("n"))
    return submissions.annotate(
        version=version_expr(F("state"), received, Subquery(counts.values("by_state")))
    )


def files_page(access: ClinicAccess, submission: Submission, number: str | None) -> Page[Upload]:
    """One page of a submission's files, rejected ones first, then as they came; each with facts for its row.

    ``number`` is the page's number from the address; ``revealed`` says whether the prediction may be shown,
    ``opens`` whether this person may see the study at all: a colleague's may hold other pictures, too.
    """
    uploads = submission.uploads.annotate(
        is_fine=Case(When(outcome=Upload.Outcome.REJECTED, then=Value(0)), default=Value(1))
    ).order_by("is_fine", "created_at", "pk")
    finding = Finding.objects.filter(analysis=OuterRef("image__study__current"), image=OuterRef("image"))
    visible = visible_predictions(access, access.studies()).filter(pk=OuterRef("image__study"))
    rows = uploads.select_related("image__study__current__bundle").annotate(
        latest_state=latest_state("image__study", "image__study__submission__state"),
        latest_failure=Subquery(
            newest("image__study").exclude(state=Analysis.State.CANCELLED).values(failure=FAILURE)[:1]
        ),
        thumbnail=Subquery(finding.values("pk")[:1]),
        revealed=Exists(visible),
        opens=Exists(access.studies().filter(pk=OuterRef("image__study"))),
    )
    # Two steps, so that only the rows of this page are looked into.
    page = Paginator(uploads.values_list("pk", flat=True), FILES_PER_PAGE).get_page(number)
    files = list(rows.filter(pk__in=list(page)))
    return Page(files, page.number, cast("Paginator[Upload]", page.paginator))


def with_counts(submissions: QuerySet[Submission]) -> QuerySet[Submission]:
    """The same submissions, each with its counts for a row of the list.

    ``files``, ``rejected``, ``study_count``, ``done`` (studies with a result), and ``unfinished``: the id of
    an analysis that waits or runs, or None.
    """
    uploads = Upload.objects.filter(submission=OuterRef("pk")).order_by().values("submission")
    studies = Study.objects.filter(submission=OuterRef("pk")).order_by().values("submission")
    unfinished = Analysis.objects.primary().unfinished().filter(study__submission=OuterRef("pk"))
    return submissions.annotate(
        files=Coalesce(Subquery(uploads.annotate(n=Count("pk")).values("n")), 0),
        rejected=Coalesce(
            Subquery(uploads.annotate(n=Count("pk", filter=Q(outcome="rejected"))).values("n")), 0
        ),
        study_count=Coalesce(Subquery(studies.annotate(n=Count("pk")).values("n")), 0),
        done=Coalesce(
            Subquery(studies.annotate(n=Count("pk", filter=Q(current__isnull=False))).values("n")), 0
        ),
        unfinished=Subquery(unfinished.order_by().values("pk")[:1]),
    )
