"""Acting on a study that was deleted a moment ago: the person gets a sentence instead of an error."""

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
    """Decorator under ``clinic_view`` that says that a study was deleted, instead of a 404.

    The view takes the study as ``study``, or the form names it as ``study``, for views of something that was
    deleted with its study. Only a person who had looked at the study gets the sentence; for everybody else
    it never existed. A fragment gets a fragment, which ends its polling; a page gets the worklist.
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
    """Leave the message that the study was deleted, and return whether it was.

    For a person who acts from a list of all studies, without having opened this one. The study is the form's
    ``study`` unless given; ``clinic`` is None for superusers on the platform's pages.
    """
    study = study or _named(request)
    if study is None or not is_deleted(study=study, clinic=clinic):
        return False
    messages.error(request, _("This study was deleted."))
    return True


def some_deleted(count: int) -> str:
    """The sentence for ``count`` of several studies that an action did not find any more."""
    return (
        ngettext("%d study was deleted in the meantime.", "%d studies were deleted in the meantime.", count)
        % count
    )


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
