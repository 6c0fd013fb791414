"""Upload, submissions and study pages. They read only; a look at a study is audited."""

from __future__ import annotations

import uuid

from django.core.paginator import Paginator
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from xrayportal.access import Permit, Seat, clinic_view
from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.intake.deletion import REASONS
from xrayportal.pages import earlier, progress, result
from xrayportal.pages.worklist import verdict_choices
from xrayportal.security import client_address
from xrayportal.studies.gone import tells_deletion
from xrayportal.studies.models import Study, Submission, Upload
from xrayportal.worklist.digests import note_seen
from xrayportal.worklist.marks import mark_read

SUBMISSIONS_PER_PAGE = 50


@require_safe
@clinic_view(Permit.SUBMIT)
def upload_page(request: HttpRequest, seat: Seat) -> HttpResponse:
    """The drop zone; a plain form where scripts do not run."""
    return render(request, "studies/upload.html")


@require_safe
@clinic_view(Permit.SEE_OWN)
def submissions_page(request: HttpRequest, seat: Seat) -> HttpResponse:
    """The submissions that this person may see, newest first."""
    rows = _with_counts(seat.submissions()).select_related("submitter").order_by("-created_at", "pk")
    page = Paginator(rows, SUBMISSIONS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "studies/submissions.html", {"page": page})


@require_safe
@clinic_view(Permit.SEE_OWN)
def submission_page(request: HttpRequest, seat: Seat, submission: uuid.UUID) -> HttpResponse:
    """How far a submission is, and the fate of every file."""
    return _render_progress(request, seat, submission, "studies/submission.html")


@require_safe
@clinic_view(Permit.SEE_OWN)
def submission_progress(request: HttpRequest, seat: Seat, submission: uuid.UUID) -> HttpResponse:
    """The part of the submission page that polls; 204 while nothing changed."""
    return _render_progress(request, seat, submission, "studies/_progress.html", seen=request.GET.get("seen"))


@require_safe
@clinic_view(Permit.SEE_OWN)
@tells_deletion
def study_page(request: HttpRequest, seat: Seat, study: uuid.UUID) -> HttpResponse:
    """The radiograph, its result and its history. The look is audited, and whether it told the prediction."""
    found = result.study_or_404(seat, study)
    shown = result.result_of(seat, found, request.GET.get("view"), request.GET.get("beside"))
    history = result.history_of(seat, found)
    looks = [(found, shown.tells)]
    if shown.beside:
        looks.append((shown.beside.study, shown.beside.revealed))
    for seen, told in looks:
        record(
            clinic=seat.clinic,
            action=Action.STUDY_VIEWED,
            actor=seat.user,
            target=seen,
            study=seen,
            detail={"revealed": told},
            address=client_address(request),
        )
    mark_read(seat, [found.pk])
    context = {
        "study": found,
        "title": result.title_of(found),
        "result": shown,
        "history": history,
        "earlier": earlier.earlier_of(seat, found),
        "delete_reasons": REASONS,
    }
    return render(request, "studies/study.html", context)


def _render_progress(
    request: HttpRequest, seat: Seat, pk: uuid.UUID, template: str, seen: str | None = None
) -> HttpResponse:
    submission: Submission = get_object_or_404(progress.versions(seat), pk=pk)
    version: str = submission.version  # type: ignore[attr-defined]  # annotated by versions
    if seen == version:
        return HttpResponse(status=204)
    told = progress.progress_of(submission, seat)
    if told.is_final and submission.submitter_id == seat.user.pk:
        note_seen(submission, seat.user)
    context = {
        "verdicts": _verdict_counts(told),
        "submission": submission,
        "version": version,
        # As studies.views decides: the sender, and the clinic's admin.
        "may_end": submission.submitter_id == seat.user.pk or seat.may(Permit.MANAGE),
        "progress": told,
        "page": progress.files_page(seat, submission, request.GET.get("page")),
    }
    return render(request, template, context)


def _verdict_counts(told: progress.Progress) -> list[tuple[str, str, int]]:
    """Code, word and number of each verdict that there is."""
    bundle = Bundle.objects.order_by("-is_active", "-registered_at").first() if told.verdicts else None
    choices = verdict_choices(bundle)
    return [(one.value, one.word, told.verdicts[one.value]) for one in choices if one.value in told.verdicts]


def _with_counts(submissions: QuerySet[Submission]) -> QuerySet[Submission]:
    uploads = Upload.objects.filter(submission=OuterRef("pk")).order_by().values("submission")
    studies = Study.objects.filter(submission=OuterRef("pk")).order_by().values("submission")
    unfinished = Analysis.objects.filter(
        study__submission=OuterRef("pk"), purpose=Analysis.Purpose.PRIMARY, state__in=Analysis.UNFINISHED
    )
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
