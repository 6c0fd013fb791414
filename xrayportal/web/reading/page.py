"""What comes after a signature: the next study of the session, or what became of all of them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django_htmx.http import push_url, retarget

from xrayportal.access import ClinicAccess, PortalRequest
from xrayportal.reviews.entries import Sentence
from xrayportal.security import PAGE
from xrayportal.web.study.page import base_template, study_address, study_page_of
from xrayportal.worklist.models import ReadingSession
from xrayportal.worklist.reading import next_unsigned, summary_of


@dataclass(frozen=True)
class SignedNote:
    """What is said beside the next study of the one that was just signed, with the way back."""

    study: uuid.UUID
    #: Its title and the verdict, in words.
    title: str
    verdict: str
    review: uuid.UUID
    reading: uuid.UUID
    message: str
    warning: Sentence = ""


def page_after(
    request: PortalRequest, access: ClinicAccess, session: ReadingSession, note: SignedNote
) -> HttpResponse:
    """The answer to a signature: the page of the next study, or of the session's end, for htmx."""
    following = next_unsigned(access, session, note.study)
    if following is None:
        response = summary_page(request, access, session, note)
        address = reverse("reading", args=[access.clinic.slug, session.pk])
    else:
        response = study_page_of(request, access, following, reading=str(session.pk), note=note)
        address = study_address(access, following, session.pk)
    return instead_of_page(response, address)


def instead_of_page(response: HttpResponse, address: str) -> HttpResponse:
    """The answer takes the place of the whole page, whatever sent the request, and ``address`` is shown."""
    response.headers["HX-Reswap"] = "morph:outerHTML"  # of an extension: ``reswap`` knows htmx's own alone
    return push_url(retarget(response, f"#{PAGE}"), address)


def summary_page(
    request: PortalRequest, access: ClinicAccess, session: ReadingSession, note: SignedNote | None = None
) -> HttpResponse:
    """What became of the studies of a session."""
    summary = summary_of(access, session)
    context = {
        "base": base_template(request),
        "summary": summary,
        "first_skipped": study_address(access, summary.skipped[0], session.pk) if summary.skipped else "",
        "note": note,
    }
    return render(request, "reading/summary.html", context)
