"""The pages on which an admin adds, tries, pauses and removes a webhook."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.urls import reverse
from standardwebhooks import Webhook

from tests.house import House, browser
from tests.webhooks.conftest import Receiver, add
from xrayportal.audit.models import AuditEvent
from xrayportal.webhooks.delivering import deliver_due
from xrayportal.webhooks.models import Endpoint

pytestmark = pytest.mark.django_db


def test_the_admin_adds_tries_and_removes_one(house: House, receiver: Receiver) -> None:
    client, address = browser(house.admin), reverse("webhooks", args=[house.clinic.slug])
    response = client.post(address, {"url": receiver.url, "events": ["analysis.succeeded"]})
    assert response.status_code == 201
    found = re.search(r'<code class="secret">(whsec_[\w+/=]+)</code>', response.content.decode())
    assert found is not None
    endpoint = Endpoint.objects.get()
    page = reverse("webhook", args=[house.clinic.slug, endpoint.pk])
    act = reverse("webhook-act", args=[house.clinic.slug, endpoint.pk])
    assert client.post(act, {"action": "test"}).status_code == 302
    deliver_due()
    headers, body = receiver.came[0]
    assert Webhook(found[1]).verify(body, headers)["type"] == "test"
    log = client.get(page).content.decode()
    assert "HTTP 204" in log
    assert found[1] not in log + client.get(address).content.decode()
    for action, is_active in (("pause", False), ("resume", True)):
        client.post(act, {"action": action})
        assert Endpoint.objects.get().is_active is is_active
    assert client.post(act, {"action": "explode"}).status_code == 404
    assert client.post(act, {"action": "remove"}).status_code == 302
    assert not Endpoint.objects.exists()
    actions = (
        AuditEvent.objects.filter(target_kind="endpoint").order_by("id").values_list("action", flat=True)
    )
    assert list(actions) == ["webhook-added", "webhook-changed", "webhook-changed", "webhook-removed"]


@pytest.mark.parametrize(
    "wrong", [{"url": "http://receiver.example"}, {"url": ""}, {"events": []}, {"events": ["everything"]}]
)
def test_a_wrong_form_adds_none(house: House, wrong: dict[str, Any]) -> None:
    form = {"url": "https://receiver.example/", "events": ["analysis.succeeded"], **wrong}
    response = browser(house.admin).post(reverse("webhooks", args=[house.clinic.slug]), form)
    assert response.status_code == 422
    assert not Endpoint.objects.exists()


def test_others_find_nothing(house: House) -> None:
    endpoint, _secret = add(house, "https://receiver.example/")
    other = house.stranger.memberships.all()[0].clinic
    for person, clinic in (
        (house.reader, house.clinic),
        (house.stranger, house.clinic),
        (house.stranger, other),
    ):
        for name in ("webhook", "webhook-act"):
            address = reverse(name, args=[clinic.slug, endpoint.pk])
            assert browser(person).post(address, {"action": "remove"}).status_code in (404, 405)
    assert Endpoint.objects.exists()
