"""What people see who had a study open when it was deleted: one sentence, no error."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from xrayportal.clinics.access import Seat
from xrayportal.studies.deletion import was_deleted
from xrayportal.studies.models import Study

View = Callable[..., HttpResponseBase]


def tells_deletion(view: View) -> View:
    """Decorator under ``clinic_view``, for ``view(request, seat, study, …)``.

    Only for who had looked at the study; for everybody else a study that is gone is a study that never
    was. A fragment gets a fragment, which ends its polling; a page gets the worklist with the sentence.
    """

    @functools.wraps(view)
    def wrapper(request: HttpRequest, seat: Seat, study: uuid.UUID, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, seat, study=study, **kwargs)
        except (Http404, Study.DoesNotExist):  # before the view looked, or while it worked
            if not was_deleted(clinic=seat.clinic, study=study, user=seat.user):
                raise Http404("Not found.") from None
            return _gone(request, seat)

    return wrapper


def _gone(request: HttpRequest, seat: Seat) -> HttpResponse:
    if request.headers.get("HX-Request") == "true":
        return render(request, "studies/_gone.html", {"seat": seat})
    messages.error(request, _("This study was deleted."))
    return redirect("worklist", clinic=seat.clinic.slug)
