"""Every address of a clinic, as the code lists them, is closed to people without a role there."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import URLPattern, get_resolver, reverse

from tests.factories import make_analysis, make_study, make_submission
from tests.house import House, browser
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.clinics.actors import Actor
from xrayportal.dicom.models import Delivery, Destination, Listener
from xrayportal.studies.models import Study
from xrayportal.tokens.services import create_token
from xrayportal.webhooks.services import add_endpoint, send_test
from xrayportal.worklist.models import ReadingSession

pytestmark = pytest.mark.django_db

#: Superusers come here to give a reason, and to close what they opened.
SUPERUSERS_DOORS = {"content-access", "content-access-end"}


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
        "session": ReadingSession.objects.create(
            user=house.reader, clinic=house.clinic, studies=[study.pk], query=""
        ).pk,
        "view": 1,
    }


def test_the_list_is_not_empty() -> None:
    assert len(CLINICS) > 30
    assert {"study", "finding-file", "study-result"} <= set(CLINICS)


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", CLINICS)
def test_who_has_no_place_here_gets_nothing(
    house: House, rows: dict[str, Any], name: str, method: str
) -> None:
    """A 404 as for a missing row (405 for a wrong method), and the sign-in page without a sign-in."""
    address = reverse(name, kwargs={part: rows[part] for part in CLINICS[name]})
    before = AuditEvent.objects.count()
    nobody = getattr(browser(None), method)(address)
    assert nobody.status_code == 302
    assert nobody.headers["Location"].startswith(reverse("sign-in"))
    fragment = getattr(browser(None), method)(address, headers={"hx-request": "true"})
    assert (fragment.status_code, fragment.content) == (204, b"")
    outsiders = [house.stranger] if name in SUPERUSERS_DOORS else [house.stranger, house.superuser]
    for user in outsiders:
        answer = getattr(browser(user), method)(address)
        assert answer.status_code in (404, 405), user
        assert str(rows["study"]).encode() not in answer.content.replace(address.encode(), b"")
    actions = AuditEvent.objects.order_by("id")[before:].values_list("action", flat=True)
    assert set(actions) <= {Action.SIGNED_IN}
    assert Study.objects.filter(pk=rows["study"], state=Study.State.SEALED).exists()
