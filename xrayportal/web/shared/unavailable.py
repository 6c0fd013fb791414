"""The answer to an error that no view caught: 503 while the database or the storage is away, else 500."""

from __future__ import annotations

import errno
import logging
import sys
import time

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from xrayportal.security import wants_json
from xrayportal.studies.storage import StorageUnavailableError

logger = logging.getLogger(__name__)

#: Clients that try again by themselves should wait so long.
RETRY_SECONDS = 10
#: Disks that take nothing.
_DISK = frozenset({errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO})
#: The API, and STOW-RS, whose senders accept DICOM's own JSON.
_OF_PROGRAMS = ("/api/", "/dicom-web/")
#: While something is away every request meets it: one line a process each so many seconds says all.
_LOG_SECONDS = 10.0
_logged: dict[str, float] = {}


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's ``handler500``: called while the exception is handled."""
    error = sys.exception()
    what = unavailable(error)
    if what is None:
        if _is_for_a_program(request):
            sentence = _("An error occurred in the portal and was written to its log.")
            return JsonResponse({"sentence": sentence}, status=500)
        return HttpResponse(render_to_string("500.html"), status=500)
    _log(what, error)
    sentence = sentence_of(what)
    if _is_for_a_program(request):
        response: HttpResponse = JsonResponse({"sentence": sentence, "unavailable": what}, status=503)
    else:
        response = HttpResponse(render_to_string("503.html", {"sentence": sentence}), status=503)
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    response._has_been_logged = True  # type: ignore[attr-defined]  # what Django's handler looks at
    return response


def unavailable(error: BaseException | None) -> str | None:
    """``database`` or ``storage`` where the error says that it is away, else None."""
    if isinstance(error, (OperationalError, InterfaceError)):
        return "database"
    if isinstance(error, StorageUnavailableError) or (isinstance(error, OSError) and error.errno in _DISK):
        return "storage"
    return None


def sentence_of(what: str) -> str:
    """What people read: what is away, what that means for what they did, what to do."""
    if what == "database":
        return _(
            "The portal's database does not answer at the moment. What was saved before is safe; "
            "what you just sent was not saved. Try again in a minute."
        )
    return _(
        "The portal's file storage takes and gives no files at the moment. Nothing of what you just sent was "
        "stored. Try again in a minute; if that does not help, tell your administrator."
    )


def _is_for_a_program(request: HttpRequest) -> bool:
    return wants_json(request) or request.path.startswith(_OF_PROGRAMS)


def _log(what: str, error: BaseException | None) -> None:
    now = time.monotonic()
    if now - _logged.get(what, -_LOG_SECONDS) >= _LOG_SECONDS:
        _logged[what] = now
        cause = error.__cause__ if isinstance(error, StorageUnavailableError) else error
        logger.error("The %s is away: %s", what, type(cause).__name__)
