"""The list of a person's sessions, which they end here: a browser left open elsewhere, or a stranger's."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from xrayportal.clinics.actors import person_of
from xrayportal.clinics.sessions import end_other_sessions, end_session, open_sessions
from xrayportal.clinics.sign_in import record_ended_sessions
from xrayportal.words.browsers import browser_words


@require_safe
def sessions(request: HttpRequest) -> HttpResponse:
    """The page: where the person is signed in."""
    rows = [
        {"session": session, "browser": browser_words(session.user_agent)}
        for session in open_sessions(request, person_of(request))
    ]
    return render(request, "account/sessions.html", {"rows": rows})


@require_POST
def end(request: HttpRequest) -> HttpResponse:
    """End the ``session`` of this key, or all but this one without a key; audited."""
    user = person_of(request)
    with transaction.atomic():
        key = request.POST.get("session", "")
        ended = end_session(user, key) if key else end_other_sessions(request, user)
        if ended:
            record_ended_sessions(user, ended, request=request)
    sentence = ngettext("%(n)d session is ended.", "%(n)d sessions are ended.", ended) % {"n": ended}
    messages.success(request, sentence)
    return redirect("sessions")
