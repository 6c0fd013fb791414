"""What the OpenAPI document says beside the operations: refusals, files, and what an operation needs."""

from __future__ import annotations

from typing import Any

from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from xrayportal.api.problems import MEDIA_TYPE

#: What every operation may answer, and in which words.
_REFUSALS = {
    400: "The request cannot be understood.",
    401: "There is no token that can be used.",
    403: "The token's scope or role does not allow this.",
    404: "There is no such row, or not for this token.",
    413: "The request is larger than what is taken.",
    422: "Some values are not as described here.",
    429: "Too much at once: go on after `Retry-After` seconds.",
    503: "A service that this needs is away: try again later.",
}
_PROBLEM = {
    "type": "object",
    "description": "Why a request is refused (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence for people."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["where", "message"],
                "properties": {"where": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}, "required": True}}
_IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "required": False,
    "schema": {"type": "string"},
    "description": "The `ETag` of an earlier answer: 304 while it still holds.",
}


def files(*media_types: str) -> dict[str, Any]:
    """For an operation that answers a file of one of these types."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    content = {media_type: ({} if media_type == "application/json" else binary) for media_type in media_types}
    return {"responses": {200: {"description": "The file.", "content": content}}}


def leading_to(operation: str, **parameters: str) -> dict[str, Any]:
    """For an operation whose answer names what another one takes; values are JSON pointers into it."""
    found = {name: f"$response.body#{pointer}" for name, pointer in parameters.items()}
    return {"responses": {200: {"links": {operation: {"operationId": operation, "parameters": found}}}}}


class Document(OpenAPISchema):
    """Ninja's document, with refusals on every operation, revalidation, and the scope in words."""

    def operation_details(self, operation: Operation) -> dict[str, Any]:
        """One operation."""
        details = super().operation_details(operation)
        for auth in operation.auth_callbacks:
            needs = f"Needs the scope `{auth.scope}`." if hasattr(auth, "scope") else ""
            details["description"] = f"{details.get('description', '')}\n\n{needs}".strip()
        if operation.methods == ["GET"]:
            details["parameters"] = [*details["parameters"], _IF_NONE_MATCH]
            details["responses"][304] = {"description": "What you have still holds."}
        own = set(details["responses"])
        if operation.methods == ["POST"]:
            details["responses"][409] = _refusal(
                409,
                "It does not go with what is stored.",
            )
        details["responses"].update(
            {status: _refusal(status, words) for status, words in _REFUSALS.items() if status not in own}
        )
        return details

    def get_components(self) -> dict[str, Any]:
        """The schemas, with that of refusals."""
        components: dict[str, Any] = super().get_components()
        components["schemas"]["Problem"] = _PROBLEM
        return components


def _refusal(status: int, words: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    refusal: dict[str, Any] = {"description": words, "content": {MEDIA_TYPE: {"schema": schema}}}
    if status == 429:
        refusal["headers"] = _RETRY_AFTER
    return refusal
