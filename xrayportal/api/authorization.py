"""Who may call an operation: the scope and the permission that it needs, asked of the one access rule."""

from __future__ import annotations

from django.http import HttpRequest
from ninja.security.base import AuthBase

from xrayportal.access import ClinicAccess, Permission, token_access
from xrayportal.tokens.models import Scope


class ApiRequest(HttpRequest):
    """A request as operations get it."""

    auth: ClinicAccess


class Token(AuthBase):
    """Bearer tokens with this scope and a role with this permission; sets the access as ``request.auth``."""

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_description = "An API token, made by a clinic's admin."

    def __init__(self, scope: Scope, permission: Permission) -> None:
        super().__init__()
        self.scope = scope
        self.permission = permission

    def __call__(self, request: HttpRequest) -> ClinicAccess:
        """The access of the request. Raises `TokenRefused`."""
        return token_access(request, self.scope, self.permission)


READ = Token(Scope.STUDIES_READ, Permission.SEE_OWN)
SUBMIT = Token(Scope.SUBMISSIONS_WRITE, Permission.SUBMIT)
IMAGES = Token(Scope.IMAGES_READ, Permission.SEE_OWN)
REVIEW = Token(Scope.REVIEWS_WRITE, Permission.REVIEW)
AUDIT = Token(Scope.AUDIT_READ, Permission.MANAGE)
