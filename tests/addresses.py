"""Every address of the portal, as the code lists them, with a row of everything that one can name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from tests.factories import make_analysis, make_study, make_submission
from tests.house import House
from xrayportal.clinics.actors import Actor
from xrayportal.dicom.models import Delivery, Destination, Listener
from xrayportal.tokens.services import create_token
from xrayportal.webhooks.services import add_endpoint, send_test
from xrayportal.worklist.models import ReadingSession


def patterns(node: Any) -> list[URLPattern]:
    """All address patterns below a pattern or a resolver."""
    if isinstance(node, URLPattern):
        return [node]
    return [pattern for child in node.url_patterns for pattern in patterns(child)]


CLINICS = {
    str(pattern.name): sorted(pattern.pattern.converters)
    for pattern in patterns(get_resolver())
    if str(pattern.pattern).startswith("c/<slug:clinic>/")
}


def addresses(
    node: Any = None, before: str = "/", rows: Mapping[str, object] | None = None
) -> list[tuple[str, bool]]:
    """An example of every address that the code lists, and whether it needs a sign-in.

    ``rows`` are values of parameters by their names; others have one of the right kind.
    """
    found = []
    for child in (node or get_resolver()).url_patterns:
        text = before + str(child.pattern).replace("^", "").replace("$", "").replace("\\Z", "")
        if isinstance(child, URLResolver):
            found += addresses(child, text, rows)
            continue
        assert isinstance(child, URLPattern)
        needs = getattr(child.callback, "login_required", True)
        found.append((filled(text, rows or {}), needs))
    return found


def filled(pattern: str, rows: Mapping[str, object]) -> str:
    """The pattern with values in place of its parameters."""
    values = {"uuid": "b5b8e4a6-2d4f-4c8e-9d62-0f2a7c8d9e10", "int": "1"}
    pattern = re.sub(r"\(\?P<\w+>[^()]*(?:\([^()]*\)[^()]*)*\)", "1", pattern)
    return re.sub(
        r"<(?:(\w+):)?(\w+)>", lambda match: str(rows.get(match[2], values.get(match[1] or "", "a"))), pattern
    )


@pytest.fixture
def rows(house: House) -> dict[str, Any]:
    """One row of everything that an address can name, of the house's clinic."""
    study = make_study(submission=make_submission(house.clinic, house.uploader))
    analysis = make_analysis(study)
    webhook, _secret = add_endpoint(
        clinic=house.clinic,
        actor=Actor(house.admin),
        url="https://receiver.example/",
        events=["review.signed"],
    )
    token, _secret = create_token(
        clinic=house.clinic,
        actor=Actor(house.admin),
        name="bridge",
        role="uploader",
        scopes=["studies:read"],
        days=1,
    )
    listener = Listener.objects.create(clinic=house.clinic, ae_title="PORTAL")
    destination = Destination.objects.create(
        clinic=house.clinic, name="Archive", protocol="stow", url="http://127.0.0.1:1/studies"
    )
    delivery = Delivery.objects.create(
        clinic=house.clinic, study=study, destination=destination, analysis=analysis
    )
    return {
        "clinic": house.clinic.slug,
        "submission": study.submission_id,
        "study": study.pk,
        "analysis": analysis.pk,
        "bundle": analysis.bundle_id,
        "image": study.images.get().pk,
        "finding": analysis.findings.get().pk,
        "kind": "display",
        "user": house.reader.pk,
        "token": token.pk,
        "webhook": webhook.pk,
        "message": send_test(endpoint=webhook).pk,
        "row": listener.pk,
        "delivery": delivery.pk,
        "destination": destination.pk,
        "session": ReadingSession.objects.create(
            user=house.reader, clinic=house.clinic, studies=[study.pk], query=""
        ).pk,
        "view": 1,
    }
