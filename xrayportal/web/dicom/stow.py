"""STOW-RS: programs store DICOM objects over HTTP, with an API token of the clinic."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import Error
from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from xrayportal.access import ClinicAccess, Permission, TokenRefused, token_access
from xrayportal.dicom import statuses
from xrayportal.dicom.receive import receive
from xrayportal.dicom.stow import DICOM, DICOM_JSON, Answer, BadBodyError, Part, is_of_study, read_parts
from xrayportal.intake.quotas import QuotaExceededError
from xrayportal.studies.models import Queue
from xrayportal.tokens.models import Scope
from xrayportal.tokens.throttle import seconds_to_wait

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 262_144
_RETRY_SECONDS = 60


@csrf_exempt
@login_not_required
@require_POST
def stow(request: HttpRequest, study: str = "") -> JsonResponse:
    """Store the objects of a request (to ``study``, a UID, if named); each is committed before the answer."""
    try:
        access = token_access(request, Scope.SUBMISSIONS_WRITE, Permission.SUBMIT)
    except TokenRefused as refusal:
        return _problem(refusal.status, str(refusal), refusal.headers)
    answer = Answer()

    def take(part: Part) -> None:
        identity = part.identity()
        if part.media_type not in ("", DICOM):
            status = statuses.CANNOT_UNDERSTAND
        elif not is_of_study(identity, study):
            status = statuses.NOT_A_RADIOGRAPH
        elif wait := _seconds_to_wait(access, answer):
            answer.retry_after, status = max(answer.retry_after, wait), statuses.OVER_QUOTA
        else:
            status = _store(access, part.data, answer)
        answer.outcomes.append((identity, status))

    try:
        read_parts(request.headers.get("Content-Type", ""), _chunks(request), take)
    except BadBodyError as error:
        return _problem(error.status, str(error))
    if not answer.outcomes:
        return _problem(400, _("The request holds no DICOM object."))
    response = JsonResponse(answer.as_json(), status=answer.status, content_type=DICOM_JSON)
    if answer.status in (429, 503):
        response.headers["Retry-After"] = str(answer.retry_after)
    return response


def _seconds_to_wait(access: ClinicAccess, answer: Answer) -> int:
    """Until the token may send another object: each counts as a request; the first came with this one."""
    if access.token is None or not answer.outcomes:
        return 0
    return math.ceil(seconds_to_wait(str(access.token.pk)))


def _store(access: ClinicAccess, data: bytes, answer: Answer) -> int:
    """Store one object; its status as C-STORE has them. ``answer`` is told when to come back, if later."""
    sender = access.token.name if access.token else ""
    try:
        upload = receive(
            clinic=access.clinic,
            sender=sender[:64],
            queue=Queue.INTERACTIVE,
            actor=access.actor,
            data=data,
        )
    except (OSError, Error, MemoryError) as error:
        logger.warning("A received object could not be stored: %s", type(error).__name__)
        seconds = error.retry_after if isinstance(error, QuotaExceededError) else _RETRY_SECONDS
        answer.retry_after = max(answer.retry_after, seconds)
        return statuses.status_of_error(error)
    return statuses.status_of(upload)


def _chunks(request: HttpRequest) -> Iterator[bytes]:
    """The body as it comes. Django reads nothing of a chunked one, which names no length; its server does."""
    is_chunked = not request.META.get("CONTENT_LENGTH") and request.META.get("wsgi.input_terminated")
    stream: Any = request.META["wsgi.input"] if is_chunked else request
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk


def _problem(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JsonResponse:
    """As RFC 9457 has it."""
    content = {"type": "about:blank", "status": status, "detail": sentence}
    return JsonResponse(content, status=status, content_type="application/problem+json", headers=headers)
