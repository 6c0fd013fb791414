"""Every address of a clinic, as the code lists them, is closed to people without a role there."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from tests.addresses import CLINICS
from tests.house import House, browser
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.studies.models import Study

pytestmark = pytest.mark.django_db

#: Superusers come here to give a reason, and to close what they opened.
SUPERUSERS_DOORS = {"content-access", "content-access-end"}


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
