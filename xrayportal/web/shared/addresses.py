"""Whole addresses of pages, for files that people take away."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from xrayportal.clinics.models import Clinic


def study_addresses(request: HttpRequest, clinic: Clinic) -> Callable[[UUID], str]:
    """A function from a study's id to the whole address of its page.

    The configured address where there is one: a sender chooses the Host of their request.
    """
    root = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
    return lambda study: f"{root}{reverse('study', args=[clinic.slug, study])}"
