"""The API: its operations, how it answers, and its addresses."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseNotModified
from django.urls import URLPattern, re_path
from django.utils.translation import gettext as _
from ninja import NinjaAPI, Swagger
from ninja.operation import Operation

from xrayportal.api import audit, reviews, studies, submissions
from xrayportal.api.authorization import READ, ApiRequest
from xrayportal.api.openapi import Document
from xrayportal.api.problems import handle_problems, not_found, problem
from xrayportal.api.schemas import token as schemas
from xrayportal.reviews.blind import reads_blind


class PortalAPI(NinjaAPI):
    """Ninja, with ETags on what is read and a document that names every refusal."""

    def create_response(
        self,
        request: HttpRequest,
        data: Any,
        *,
        status: int | None = None,
        temporal_response: HttpResponse | None = None,
    ) -> HttpResponse:
        """JSON; for a GET with an ETag, and 304 where the sender has it already."""
        response = super().create_response(request, data, status=status, temporal_response=temporal_response)
        if request.method == "GET" and response.status_code == 200:
            response.headers["ETag"] = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
            response.headers["Cache-Control"] = "private, no-cache"
            response.headers["Vary"] = "Authorization, Accept-Language"
            if response.headers["ETag"] in request.headers.get("If-None-Match", ""):
                kept = {name: response.headers[name] for name in ("ETag", "Cache-Control", "Vary")}
                return HttpResponseNotModified(headers=kept)
        return response

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The name of the function, which generated clients use."""
        return operation.view_func.__name__

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> Document:
        """The OpenAPI document."""
        return Document(self, self.get_root_path(path_params or {}) if path_prefix is None else path_prefix)


api = PortalAPI(
    title="X-Ray Portal",
    version="1",
    description=(
        "Send radiographs of a clinic and get body part, verdict, probability and heatmap back. "
        "Research use only: not a diagnosis.\n\n"
        "A clinic's admin makes tokens on the page “API tokens”. Lists are paged: pass `next` as `cursor`. "
        "Refusals are `application/problem+json`."
    ),
    urls_namespace="api",
    docs=Swagger(settings={"persistAuthorization": False, "defaultModelsExpandDepth": 0}),
)
handle_problems(api)
for part in (submissions, studies, reviews, audit):
    api.add_router("", part.router)


@api.get("/token", auth=READ, response=schemas.TokenInfo, tags=["token"])
def get_token(request: ApiRequest) -> schemas.TokenInfo:
    """The token of this request, its clinic, and what it may do."""
    access = request.auth
    token = access.token
    assert token is not None  # noqa: S101  whoever gets here came with one
    return schemas.TokenInfo(
        name=token.name,
        clinic=access.clinic.slug,
        clinic_name=access.clinic.name,
        roles=sorted(access.roles),
        scopes=token.scopes,
        expires_at=token.expires_at,
        reads_blind=reads_blind(access),
    )


def _without_page(view: Any) -> Any:
    """The view, whose refusals of a method are problems, and which asks for a token instead of a sign-in."""

    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = view(request, *args, **kwargs)
        except Http404:
            return not_found()
        if isinstance(response, HttpResponseNotAllowed):
            return problem(
                405,
                _("This address does not take that method."),
                headers={"Allow": response.headers["Allow"]},
            )
        return response

    answer.csrf_exempt = True  # type: ignore[attr-defined]  # no cookie counts here
    return login_not_required(answer)


def _nothing_here(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    return not_found()


def _addresses() -> list[URLPattern]:
    patterns, _app, _namespace = api.urls
    found = [
        URLPattern(one.pattern, _without_page(one.callback), one.default_args, one.name)
        for one in patterns
        if isinstance(one, URLPattern)
    ]
    return [*found, re_path(r"", _without_page(_nothing_here), name="nothing")]


#: The first two for ``include``; the third is its namespace.
addresses = (_addresses(), "ninja", "api")
