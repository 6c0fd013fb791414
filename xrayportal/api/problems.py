"""Refusals as ``application/problem+json`` (RFC 9457), whatever refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from xrayportal.access import TokenRefused

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A request that is not answered as asked: a status, a sentence, and perhaps headers."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    @property
    def response(self) -> HttpResponse:
        """The answer."""
        return problem(self.status, self.detail, headers=self.headers)


def problem(
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: Iterable[Mapping[str, str]] = (),
) -> HttpResponse:
    """The answer to a request that is refused; ``errors`` name the parts of it that are wrong."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        content["errors"] = list(errors)
    return HttpResponse(
        json.dumps(content, ensure_ascii=False), status=status, content_type=MEDIA_TYPE, headers=headers
    )


def not_found() -> HttpResponse:
    """The answer for a missing row, a foreign one, and an address that does not exist."""
    return problem(404, _("Not found."))


def handle_problems(api: NinjaAPI) -> None:
    """Have the API answer refusals as problems; it raises what it does not know, for Django's handlers."""
    api.add_exception_handler(Problem, lambda request, error: _of(error).response)
    api.add_exception_handler(Http404, lambda request, error: not_found())
    api.add_exception_handler(TokenRefused, _token_refused)
    api.add_exception_handler(ValidationError, _invalid)
    api.add_exception_handler(HttpError, _http_error)
    api.add_exception_handler(MultiPartParserError, lambda request, error: problem(400, _MALFORMED()))
    for kind in (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent):
        api.add_exception_handler(
            kind, lambda request, error: problem(413, _("The request is larger than what is taken."))
        )
    api.add_exception_handler(Exception, _unknown)


def _MALFORMED() -> str:
    return _("The request's content could not be understood.")


def _of(error: Any) -> Problem:
    found: Problem = error
    return found


def _token_refused(request: HttpRequest, error: Any) -> HttpResponse:
    return problem(error.status, str(error), headers=error.headers)


def _http_error(request: HttpRequest, error: Any) -> HttpResponse:
    return problem(error.status_code, _MALFORMED() if error.status_code == 400 else str(error))


def _invalid(request: HttpRequest, error: Any) -> HttpResponse:
    errors = [
        {"where": ".".join(str(part) for part in row["loc"]), "message": str(row["msg"])}
        for row in error.errors
    ]
    return problem(422, _("Some values are not as the documentation says."), errors=errors)


def _unknown(request: HttpRequest, error: Any) -> HttpResponse:
    raise error
