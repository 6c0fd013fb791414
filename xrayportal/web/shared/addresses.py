"""Whole addresses of pages, for files that people take away and links that they are sent."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from xrayportal.clinics.models import Clinic


def whole_address(request: HttpRequest, path: str) -> str:
    """The address with scheme and host: the configured ones, because a sender chooses the Host of a request.

    Those of the request where none are configured.
    """
    root = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
    return f"{root}{path}"


def study_addresses(request: HttpRequest, clinic: Clinic) -> Callable[[UUID], str]:
    """A function from a study's id to the whole address of its page."""
    root = whole_address(request, "")
    return lambda study: f"{root}{reverse('study', args=[clinic.slug, study])}"
