"""Every address of a clinic, as the code lists them: closed to all who have no place there."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import URLPattern, get_resolver, reverse

from tests.factories import make_analysis, make_study, make_submission
from tests.house import House, browser
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.studies.models import Study

pytestmark = pytest.mark.django_db

#: Superusers come here to give a reason, and to close what they opened.
SUPERUSERS_DOORS = {"content-access", "content-access-end"}


def patterns(found: Any) -> list[URLPattern]:
    """All of them, whatever includes them."""
    if isinstance(found, URLPattern):
        return [found]
    return [pattern for part in found.url_patterns for pattern in patterns(part)]


CLINICS = {
    str(pattern.name): sorted(pattern.pattern.converters)
    for pattern in patterns(get_resolver())
    if str(pattern.pattern).startswith("c/<slug:clinic>/")
}


@pytest.fixture
def rows(house: House) -> dict[str, Any]:
    """One of everything that an address can name, of the house's clinic."""
    study = make_study(submission=make_submission(house.clinic, house.uploader))
    analysis = make_analysis(study)
    return {
        "clinic": house.clinic.slug,
        "submission": study.submission_id,
        "study": study.pk,
        "analysis": analysis.pk,
        "image": study.images.get().pk,
        "finding": analysis.findings.get().pk,
        "kind": "display",
        "user": house.reader.pk,
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
    """404 as for a missing row (405 where nobody may ask so), and the sign-in for who is not signed in."""
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
    told = AuditEvent.objects.order_by("id")[before:].values_list("action", flat=True)
    assert set(told) <= {Action.SIGNED_IN}
    assert Study.objects.filter(pk=rows["study"], state=Study.State.SEALED).exists()
