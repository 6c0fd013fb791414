"""What people see who act on a study that was deleted a moment ago: one sentence, no error."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from xrayportal.access import ClinicAccess, PortalRequest
from xrayportal.clinics.models import Clinic
from xrayportal.intake.deletion import is_deleted, was_deleted
from xrayportal.studies.models import Study

View = Callable[..., HttpResponseBase]


def handle_deleted_study(view: View) -> View:
    """Decorator under ``clinic_view``, for ``view(request, access, study, …)`` and for views of something
    that went with its study, which the form names as ``study``.

    Only for who had looked at the study; for everybody else a study that is gone is a study that never
    was. A fragment gets a fragment, which ends its polling; a page gets the worklist with the sentence.
    """

    @functools.wraps(view)
    def wrapper(request: PortalRequest, access: ClinicAccess, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, access, **kwargs)
        except (Http404, Study.DoesNotExist):  # before the view looked, or while it worked
            study = kwargs.get("study") or _named(request)
            if study is None or not was_deleted(clinic=access.clinic, study=study, user=access.user):
                raise Http404("Not found.") from None
            return _gone(request, access)

    return wrapper


def message_if_deleted(
    request: PortalRequest, *, study: uuid.UUID | None = None, clinic: Clinic | None
) -> bool:
    """For who acts from a list that they may see whole, without having opened the study: leave the sentence.

    The study is the form's ``study`` unless given; ``clinic`` is None for the platform's own people.
    """
    study = study or _named(request)
    if study is None or not is_deleted(study=study, clinic=clinic):
        return False
    messages.error(request, _("This study was deleted."))
    return True


def some_deleted(count: int) -> str:
    """The sentence for ``count`` of several studies that an action did not find any more."""
    return ngettext("%d study was deleted meanwhile.", "%d studies were deleted meanwhile.", count) % count


def _named(request: PortalRequest) -> uuid.UUID | None:
    try:
        return uuid.UUID(request.POST.get("study", ""))
    except ValueError:
        return None


def _gone(request: PortalRequest, access: ClinicAccess) -> HttpResponse:
    if request.htmx:
        return render(request, "study/_deleted.html", {"access": access})
    messages.error(request, _("This study was deleted."))
    return redirect("worklist", clinic=access.clinic.slug)
