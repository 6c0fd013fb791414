"""The review panel, the disagreements and the printed report."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.files.storage import default_storage
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import trigger_client_event

from xrayportal.access import ClinicAccess, Permission, PortalRequest, clinic_view
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.reviews import adjudication, blind, services
from xrayportal.reviews.disagreements import disagreements_of, rows_of
from xrayportal.reviews.report.facts import facts_of
from xrayportal.reviews.report.page import render_report
from xrayportal.studies.models import Study
from xrayportal.web.reading.page import SignedNote, instead_of_page, page_after
from xrayportal.web.reviews.forms import AdjudicatorForm, ReviewForm, WithdrawForm
from xrayportal.web.reviews.panel import Panel
from xrayportal.web.shared.deleted import handle_deleted_study, message_if_deleted
from xrayportal.web.shared.fields import REFUSED
from xrayportal.web.study.page import study_address, study_page_of
from xrayportal.web.study.result import title_of
from xrayportal.words.verdicts import verdict_word
from xrayportal.worklist.reading import session_of

PER_PAGE = 50
#: Refusals that the panel shows in its place, beside ``REFUSED``; the script swaps them in although they are
#: errors.
STALE, GONE = 409, 404


@require_safe
@clinic_view(Permission.REVIEW)
@handle_deleted_study
def review(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """The review panel: as a fragment for the script, as a page for a person who opens its address."""
    panel = Panel(access, _study(access, study))
    access.note_look(panel.study, revealed=panel.revealed and panel.study.current_id is not None)
    return _answer(request, access, panel, status=200)


View = Callable[..., HttpResponseBase]


def keep_typed_text(view: View) -> View:
    """Decorator over ``clinic_view`` that answers a 404 with a fragment which holds the typed comment.

    A reader who lost their role meanwhile gets the same 404 as everybody else; for the panel's script it is
    a fragment instead of a page, so that the comment is not lost.
    """

    @functools.wraps(view)
    def wrapper(request: PortalRequest, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, **kwargs)
        except Http404:
            if not request.htmx:
                raise
            return _gone(request, None)

    return wrapper


@require_POST
@keep_typed_text
@clinic_view(Permission.REVIEW)
def review_save(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """Store the reader's opinion as a draft; where they read blind first, this reveals the prediction."""
    return _store(request, access, study, sign=False)


@require_POST
@keep_typed_text
@clinic_view(Permission.REVIEW)
def review_sign(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """Store the reader's opinion as final, or supersede the one that is."""
    return _store(request, access, study, sign=True)


@require_POST
@clinic_view(Permission.REVIEW)
@handle_deleted_study
def review_withdraw(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """Take back the signature ``review`` of a moment ago, and show the study again."""
    form = WithdrawForm(request.POST)
    if not form.is_valid():
        raise Http404("Not found.")
    review, reading = form.cleaned_data["review"], form.cleaned_data["reading"]
    address = study_address(access, study, reading)
    try:
        services.withdraw_signature(access=access, study_id=study, review_id=review)
    except services.ReviewRefused as refusal:
        messages.error(request, str(refusal.sentence))
    else:
        messages.success(request, _("Your signature was taken back."))
    if not request.htmx:
        return redirect(address)
    page = study_page_of(request, access, study, reading=str(reading) if reading else None)
    return instead_of_page(page, address)


def _store(request: PortalRequest, access: ClinicAccess, study_id: uuid.UUID, *, sign: bool) -> HttpResponse:
    study = access.studies().select_related("current__bundle").filter(pk=study_id).first()
    if study is None:
        return _gone(request, access)
    panel = Panel(access, study)
    form = ReviewForm(
        request.POST.dict(),
        body_parts=[body_part for body_part, _word in panel.body_parts],
        images=panel.images,
    )
    if not form.is_valid():
        refused = Panel(access, study, sent=request.POST.dict(), problem=form.sentence)
        return _answer(request, access, refused, status=REFUSED)
    try:
        stored = services.store_review(
            access=access,
            study_id=study_id,
            entry=form.entry,
            supersedes=form.cleaned_data["supersedes"],
            sign=sign,
            adjudicates=form.cleaned_data["adjudicates"],
            images_shown=form.cleaned_data["images_shown"],
        )
    except services.StudyDeleted:
        return _gone(request, access)
    except services.ReviewRefused as refusal:
        status = STALE if isinstance(refusal, services.StaleReview) else REFUSED
        refused = Panel(access, study, sent=request.POST.dict(), problem=refusal.sentence)
        return _answer(request, access, refused, status=status)
    session = session_of(access, request.POST.get("reading")) if sign and request.htmx else None
    if session is not None:
        note = SignedNote(
            study=study_id,
            title=title_of(study),
            verdict=verdict_word(panel.manifest, stored.review.verdict),
            review=stored.review.pk,
            reading=session.pk,
            message=_stored_words(stored, sign=sign),
            warning=stored.problem,
        )
        return page_after(request, access, session, note)
    return _stored(request, access, study, stored, sign=sign)


def _stored_words(stored: services.StoredReview, *, sign: bool) -> str:
    """What is said of a stored opinion, and of the analysis that it asked for."""
    message = _("Signed.") if sign else _("Saved.")
    if stored.analysis is None:
        return message
    again = _("The study will be analysed again with the body part you chose.")
    return f"{message} {again}"


def _stored(
    request: PortalRequest, access: ClinicAccess, study: Study, stored: services.StoredReview, *, sign: bool
) -> HttpResponse:
    """The panel with the stored opinion; without a script the study's page."""
    message = _stored_words(stored, sign=sign)
    if not request.htmx:
        messages.success(request, message)
        if stored.problem:
            messages.warning(request, str(stored.problem))
        return redirect("study", access.clinic.slug, study.pk)
    try:
        study.refresh_from_db()
    except Study.DoesNotExist:
        return _gone(request, access)
    response = render(
        request,
        "reviews/_panel.html",
        {
            "access": access,
            "panel": Panel(access, study),
            "reading": request.POST.get("reading", ""),
            "message": message,
            "warning": stored.problem,
        },
    )
    # The page's result, history and neighbours may show more now.
    return trigger_client_event(response, "review-stored", {"study": str(study.pk), "signed": sign})


def _answer(request: PortalRequest, access: ClinicAccess, panel: Panel, *, status: int) -> HttpResponse:
    template = "reviews/_panel.html" if request.htmx else "reviews/panel_page.html"
    reading = request.POST.get("reading", "")
    context = {"access": access, "panel": panel, "study": panel.study, "reading": reading}
    return render(request, template, context, status=status)


def _gone(request: PortalRequest, access: ClinicAccess | None) -> HttpResponse:
    if not request.htmx:
        raise Http404("Not found.")
    comment = request.POST.get("comment", "")
    return render(request, "reviews/_deleted.html", {"access": access, "comment": comment}, status=GONE)


@require_POST
@clinic_view(Permission.MANAGE)
def adjudicator(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """Name the reader who settles a disagreement; an empty ``reader`` leaves it to any third reader."""
    if not access.studies().filter(pk=study).exists():
        if message_if_deleted(request, study=study, clinic=access.clinic):
            return redirect("disagreements", access.clinic.slug)
        raise Http404("Not found.")
    form = AdjudicatorForm(request.POST.dict(), clinic=access.clinic)
    if not form.is_valid():
        raise Http404("Not found.")
    reader = form.cleaned_data["reader"]
    try:
        services.name_adjudicator(access=access, study_id=study, reader=reader)
    except services.ReviewRefused as refusal:
        messages.error(request, str(refusal.sentence))
    else:
        messages.success(
            request,
            _("%(reader)s decides on this study.") % {"reader": reader}
            if reader
            else _("Any third reader can decide."),
        )
    return redirect("disagreements", access.clinic.slug)


@require_safe
@clinic_view(Permission.SEE_ALL)
def disagreements(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    """Studies whose signed readers differ, longest waiting first."""
    page = Paginator(disagreements_of(access), PER_PAGE).get_page(request.GET.get("page"))
    readers = list(adjudication.clinic_readers(access.clinic))
    rows = rows_of(access, list(page.object_list), readers)
    context = {"access": access, "page": page, "rows": rows, "readers": readers}
    return render(request, "reviews/disagreements.html", context)


@require_safe
@clinic_view(Permission.SEE_OWN)
@handle_deleted_study
def report(request: PortalRequest, access: ClinicAccess, study: uuid.UUID) -> HttpResponse:
    """The report of the study's current result as PDF, for a person who may know the prediction."""
    row = _study(access, study)
    if row.current is None:
        messages.error(request, _("There is no result to print yet."))
        return redirect("study", access.clinic.slug, study)
    if not blind.reveals(access, row):
        messages.error(request, _("Give your own verdict first: the report shows the prediction."))
        return redirect("study", access.clinic.slug, study)
    facts = facts_of(row, clinic=access.clinic, with_reviews=access.may(Permission.SEE_ALL))
    content = render_report(facts, storage=default_storage)
    record(
        clinic=access.clinic,
        action=Action.EXPORTED,
        actor=access.actor,
        target=row.current,
        study=row,
        detail={"kind": "report"},
    )
    response = HttpResponse(content, content_type="application/pdf")
    response.headers["Content-Disposition"] = f'inline; filename="report-{str(row.pk)[:8]}.pdf"'
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _study(access: ClinicAccess, study: uuid.UUID) -> Study:
    return get_object_or_404(access.studies().select_related("current__bundle"), pk=study)
