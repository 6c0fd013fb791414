"""The lists of the submission screens: submissions with their counts, and the files of one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, TypedDict, cast
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.utils.translation import ngettext

from xrayportal.access import ClinicAccess
from xrayportal.analyses.latest import latest_state, newest
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.analyses.outcomes import outcome_expression
from xrayportal.reviews.blind import visible_predictions
from xrayportal.studies.models import Study, Submission, Upload
from xrayportal.web.shared.failures import FAILURE
from xrayportal.web.shared.polling import version_expr

FILES_PER_PAGE = 100
#: A submission is called by a picture, not by the CSV that came before it.
_PICTURES_FIRST = (Case(When(image__isnull=False, then=Value(0)), default=Value(1)), "created_at", "pk")


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

    Files of one study stand together where its first one came: a browser sends several studies at once.
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
    files = _by_study(rows.filter(pk__in=list(page)))
    for before, file in pairwise(files):
        # A further view of the study in the row above, which tells the result of both.
        file.follows = bool(file.image and before.image and file.image.study_id == before.image.study_id)  # type: ignore[attr-defined]  # read by the template
    return Page(files, page.number, cast("Paginator[Upload]", page.paginator))


def _by_study(uploads: Iterable[Upload]) -> list[Upload]:
    """The same files, those of one study one after the other."""
    groups: dict[UUID, list[Upload]] = {}
    for upload in uploads:
        groups.setdefault(upload.image.study_id if upload.image else upload.pk, []).append(upload)
    return [upload for group in groups.values() for upload in group]


def verdicts_of(access: ClinicAccess, submissions: Iterable[Submission]) -> dict[UUID, dict[str, int]]:
    """By submission, the numbers of its studies by outcome, of those whose prediction this person may know.

    One query.
    """
    studies = Study.objects.filter(submission__in=list(submissions), current__isnull=False)
    rows = (
        visible_predictions(access, studies)
        .order_by()
        .values_list("submission", outcome_expression("result_"))
        .annotate(n=Count("pk"))
    )
    counts: dict[UUID, dict[str, int]] = {}
    for submission, outcome, number in rows:
        counts.setdefault(submission, {})[outcome] = number
    return counts


def with_counts(submissions: QuerySet[Submission]) -> QuerySet[Submission]:
    """The same submissions, each with its counts for a row of the list.

    ``first_file`` (its name) and ``thumbnail`` (the id of a finding, or None), ``files``, ``rejected``,
    ``study_count``, ``done`` (studies with a result), and ``unfinished``: the id of an analysis that waits or
    runs, or None.
    """
    uploads = Upload.objects.filter(submission=OuterRef("pk")).order_by().values("submission")
    studies = Study.objects.filter(submission=OuterRef("pk")).order_by().values("submission")
    unfinished = Analysis.objects.primary().unfinished().filter(study__submission=OuterRef("pk"))
    first = Finding.objects.filter(analysis=OuterRef("current")).order_by("image__created_at", "image")
    shown = studies.filter(current__isnull=False).order_by("created_at", "pk")
    return submissions.annotate(
        first_file=Coalesce(Subquery(uploads.order_by(*_PICTURES_FIRST).values("filename")[:1]), Value("")),
        thumbnail=Subquery(shown.annotate(first=Subquery(first.values("pk")[:1])).values("first")[:1]),
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


def title_of(submission: Submission) -> str:
    """What a submission is called; see `named`. Two queries."""
    names = submission.uploads.order_by(*_PICTURES_FIRST).values_list("filename", flat=True)
    first, count = names.first(), submission.uploads.count()
    return named(submission.folder, first or "", count)


def named(folder: str, first: str, count: int) -> str:
    """``wrist.png`` for one file, else the folder that holds all, else ``wrist.png and 3 more``.

    Empty without files.
    """
    if count < 2:
        return first
    if folder:
        return folder
    more = ngettext("%(name)s and %(n)d more", "%(name)s and %(n)d more", count - 1)
    return more % {"name": first, "n": count - 1}
