"""What is done to several studies at once, with a way back, and the views that people save."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_POST

from xrayportal.access import Permit, Seat, clinic_view
from xrayportal.analyses import services as analyses
from xrayportal.analyses.models import Analysis
from xrayportal.intake.deletion import REASONS, Reason, delete_study, is_deleted
from xrayportal.pages.worklist import PER_PAGE, Filters
from xrayportal.security import client_address
from xrayportal.studies.gone import some_deleted
from xrayportal.studies.models import Study
from xrayportal.worklist.marks import mark_read, mark_unread
from xrayportal.worklist.models import SavedView
from xrayportal.worklist.pages import address_query, list_context

MOST_VIEWS = 20
#: In an address a letter of another script takes nine characters or twelve.
LONGEST_QUERY = 500


@dataclass(frozen=True)
class Done:
    """What to say, and the action that takes it back with the ids that it needs."""

    words: str
    undo: str = ""
    ids: Sequence[uuid.UUID] = ()
    level: int = messages.SUCCESS

    @property
    def tag(self) -> str:
        """``success``, ``info`` or ``error``: the look of the message."""
        return messages.DEFAULT_TAGS[self.level]


@require_POST
@clinic_view(Permit.SEE_OWN)
def several(request: HttpRequest, seat: Seat) -> HttpResponse:
    """``action`` on each ``study`` of one page of the list; ``query`` is the list to come back to."""
    ids = _ids(request.POST.getlist("study"))
    done = _do(request, seat, request.POST.get("action", ""), ids)
    query = QueryDict(request.POST.get("query", "")[:1000])
    if not request.headers.get("HX-Request"):
        if done.words:
            messages.add_message(request, done.level, done.words)
        return redirect(_worklist(seat, query))
    request.GET = query
    context = {**list_context(request, seat), "done": done}
    return render(request, "studies/_several_done.html", context)


@require_POST
@clinic_view(Permit.SEE_OWN)
def save_view(request: HttpRequest, seat: Seat) -> HttpResponse:
    """Keep the filters of ``query`` under ``name``; the same name again replaces it."""
    filters = Filters.read(QueryDict(request.POST.get("query", "").removeprefix("?")[:1000]))
    name = " ".join(request.POST.get("name", "").replace("\0", "").split())[:40]
    mine = SavedView.objects.filter(user=seat.user, clinic=seat.clinic)
    if not name or not filters.query:
        messages.error(request, gettext("Choose a filter first, and give the view a name."))
    elif len(filters.query) > LONGEST_QUERY:
        messages.error(request, gettext("This filter is too long to be kept. Shorten the text."))
    elif mine.exclude(name=name).count() >= MOST_VIEWS:
        messages.error(request, gettext("You have saved 20 views. Remove one first."))
    else:
        SavedView.objects.update_or_create(
            user=seat.user, clinic=seat.clinic, name=name, defaults={"query": filters.query}
        )
    return redirect(_worklist(seat, QueryDict(filters.query)))


@require_POST
@clinic_view(Permit.SEE_OWN)
def remove_view(request: HttpRequest, seat: Seat, view: int) -> HttpResponse:
    """Forget one of the person's own views."""
    get_object_or_404(SavedView, pk=view, user=seat.user, clinic=seat.clinic).delete()
    return redirect("worklist", clinic=seat.clinic.slug)


def _do(request: HttpRequest, seat: Seat, action: str, ids: Sequence[uuid.UUID]) -> Done:
    if action == "withdraw":
        return _withdraw(request, seat, ids)
    studies = list(seat.studies().filter(pk__in=ids).select_related("clinic", "submission"))
    found = [study.pk for study in studies]
    if not found:
        gone = (
            sum(is_deleted(study=study, clinic=seat.clinic) for study in ids)
            if seat.may(Permit.SEE_ALL)
            else 0
        )
        return Done(some_deleted(gone) if gone else gettext("Choose studies first."), level=messages.ERROR)
    match action:
        case "read":
            mark_read(seat, found)
            words = ngettext("%d study marked as read.", "%d studies marked as read.", len(found))
            return Done(words % len(found), "unread", found)
        case "unread":
            mark_unread(seat, found)
            words = ngettext("%d study marked as unread.", "%d studies marked as unread.", len(found))
            return Done(words % len(found), "read", found)
        case "analyse" if seat.may(Permit.SUBMIT):
            return _analyse(request, seat, studies)
        case "delete" if seat.may(Permit.MANAGE):
            return _delete(request, seat, studies)
        case _:
            return Done(gettext("That is not possible here."), level=messages.ERROR)


def _analyse(request: HttpRequest, seat: Seat, studies: Sequence[Study]) -> Done:
    """Ask for a new analysis of each that receives no more views."""
    unfinished = Analysis.objects.filter(study__in=studies, state__in=Analysis.UNFINISHED)
    known = set(unfinished.values_list("pk", flat=True))
    asked: list[uuid.UUID] = []
    gone = 0
    try:
        for study in studies:
            if study.state != Study.State.SEALED:
                continue
            try:
                wanted = analyses.request_analysis(
                    study=study, actor=seat.user, address=client_address(request)
                )
            except Study.DoesNotExist:
                gone += 1
            else:
                asked += [] if wanted.pk in known else [wanted.pk]
    except analyses.NoActiveBundleError as error:
        return Done(str(error), level=messages.ERROR)
    if not asked:
        nothing = gettext("Nothing to do: they wait already or still receive views.")
        return Done(some_deleted(gone) if gone else nothing, level=messages.INFO)
    words = ngettext("%d study is analysed again.", "%d studies are analysed again.", len(asked)) % len(asked)
    return Done(f"{words} {some_deleted(gone)}" if gone else words, "withdraw", asked)


def _delete(request: HttpRequest, seat: Seat, studies: Sequence[Study]) -> Done:
    """With one reason for all; there is no way back."""
    reason = request.POST.get("reason", "")
    if reason not in dict(REASONS):
        return Done(gettext("Choose why the studies are deleted."), level=messages.ERROR)
    gone = [
        study
        for study in studies
        if delete_study(study=study, reason=Reason(reason), actor=seat.user, address=client_address(request))
    ]
    if not gone:  # somebody was faster
        return Done(some_deleted(len(studies)), level=messages.INFO)
    return Done(ngettext("%d study was deleted.", "%d studies were deleted.", len(gone)) % len(gone))


def _withdraw(request: HttpRequest, seat: Seat, ids: Sequence[uuid.UUID]) -> Done:
    """Call off the person's own requests that nobody has begun with."""
    own = seat.analyses().filter(pk__in=ids, requested_by=seat.user, state=Analysis.State.QUEUED)
    rows = list(own) if seat.may(Permit.SUBMIT) else []
    for row in rows:
        analyses.cancel_analysis(analysis=row, actor=seat.user, address=client_address(request))
    if not rows:
        return Done(gettext("Too late: they are being read or done."), level=messages.INFO)
    words = ngettext("%d analysis called off.", "%d analyses called off.", len(rows))
    return Done(words % len(rows))


def _ids(texts: Sequence[str]) -> list[uuid.UUID]:
    """The ids among them, one page's worth at most; nonsense is left out."""
    found = []
    for text in texts[:PER_PAGE]:
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue
    return found


def _worklist(seat: Seat, query: QueryDict) -> str:
    kept = address_query(Filters.read(query), query.get("page", ""))
    return reverse("worklist", args=[seat.clinic.slug]) + (f"?{kept}" if kept else "")
