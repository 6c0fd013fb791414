"""Stored files as answers: those of a finding, and originals."""

from __future__ import annotations

import logging
import uuid

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponseBase
from django.http.response import HttpResponseNotModified, HttpResponseRedirect
from django.shortcuts import get_object_or_404

from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Finding
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.intake.media_types import SUFFIXES
from xrayportal.reviews.blind import reveals
from xrayportal.studies.models import Image
from xrayportal.studies.storage import open_stored

logger = logging.getLogger(__name__)

#: Files of a finding: the model's field and the media type.
_FINDING_FILES = {
    "display": ("display_file", "image/jpeg"),
    "thumbnail": ("thumbnail_file", "image/jpeg"),
    "overlay": ("overlay_file", "image/png"),
    "map": ("map_file", "application/json"),
    "depth": ("depth_file", "image/png"),
}
#: The files that reveal the prediction.
_REVEALING = frozenset({"overlay", "map"})
#: Lists show it of fifty studies at once: seeing a list is no look at each of them.
_LISTED = "thumbnail"


def finding_response(
    request: HttpRequest, access: ClinicAccess, finding: uuid.UUID, kind: str
) -> HttpResponseBase:
    """A picture or the map of a finding. The file never changes, so whoever asked may keep it.

    Raises Http404, also for a file that would tell a prediction which is hidden from this person.
    """
    row: Finding = get_object_or_404(access.findings().select_related("image__study"), pk=finding)
    field, media_type = _FINDING_FILES.get(kind, ("", ""))
    name = getattr(row, field) if field else ""
    if not name or (kind in _REVEALING and not reveals(access, row.image.study)):
        raise Http404("Not found.")
    response = _file(request, name, media_type, etag=f'"{row.pk}-{kind}"')
    if kind != _LISTED:
        access.note_look(row.image.study, revealed=kind in _REVEALING)
    return response


def original_response(request: HttpRequest, access: ClinicAccess, image: uuid.UUID) -> HttpResponseBase:
    """The stored, de-identified original as an attachment; every download is audited. Raises Http404."""
    row = get_object_or_404(access.images(), pk=image)
    filename = f"{row.pk}{SUFFIXES[row.media_type]}"
    response = _signed_download(request, row, filename)
    if response is None:
        response = _file(request, row.file, row.media_type, etag=f'"{row.sha256}"')
        if isinstance(response, FileResponse):
            response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    record(
        clinic=access.clinic,
        action=Action.IMAGE_VIEWED,
        actor=access.actor,
        target=row,
        study=row.study_id,
        detail={"file": "original"},
    )
    return response


def _signed_download(request: HttpRequest, image: Image, filename: str) -> HttpResponseBase | None:
    """A redirect to the object store for a person's click, where the store can be reached by browsers.

    Not for scripts of ours: the pages' policy lets them talk to the portal alone.
    """
    signed_download = getattr(default_storage, "signed_download", None)
    if signed_download is None or request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
        return None
    address = signed_download(image.file, media_type=image.media_type, filename=filename)
    return HttpResponseRedirect(address) if address else None


def _file(request: HttpRequest, name: str, media_type: str, *, etag: str) -> HttpResponseBase:
    """A stored file, privately cacheable for a day; ``name`` comes from a row, never from the address."""
    headers = {
        "ETag": etag,
        "Cache-Control": "private, max-age=86400, immutable",
        "Vary": "Cookie, Authorization",
    }
    if etag in request.headers.get("If-None-Match", ""):
        return HttpResponseNotModified(headers=headers)
    try:
        file = open_stored(name)
    except FileNotFoundError:
        # The study was deleted a moment ago, or the files were restored from an older backup than the rows.
        logger.warning("%s is not in the file storage", name)
        raise Http404("Not found.") from None
    response = FileResponse(file, content_type=media_type, headers=headers)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
