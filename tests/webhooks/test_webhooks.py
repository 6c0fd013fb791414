"""Webhooks: told what happened, signed, again after a failure."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from tests.factories import make_analysis, make_study
from tests.house import House, browser
from tests.webhooks.conftest import Receiver, add, happen
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.studies.models import Study
from xrayportal.webhooks import delivering, services
from xrayportal.webhooks.addresses import Connection, check_url
from xrayportal.webhooks.delivering import PAUSES, collect, deliver_due, forget_old
from xrayportal.webhooks.models import Delivery, Endpoint, EventType
from xrayportal.webhooks.services import add_endpoint, send_again, send_test, set_active

pytestmark = pytest.mark.django_db


def test_what_happens_is_told_signed_and_once(house: House, study: Study, receiver: Receiver) -> None:
    happen(study)  # before anybody asked
    endpoint, secret = add(house, receiver.url)
    event = happen(study)
    record(clinic=house.clinic, action=Action.STUDY_VIEWED, target=study, study=study)
    assert (collect(), collect()) == (1, 0)
    assert (deliver_due(), deliver_due()) == (1, 0)
    ((headers, body),) = receiver.came
    told = Webhook(secret).verify(body, headers)
    assert told == {
        "type": "analysis.succeeded",
        "timestamp": event.at.isoformat(),
        "data": {"clinic": house.clinic.slug, "analysis": str(study.current_id), "study": str(study.pk)},
    }
    delivery = Delivery.objects.get(endpoint=endpoint)
    assert headers["webhook-id"] == str(delivery.pk)
    assert (delivery.state, delivery.status, delivery.attempts) == ("delivered", 204, 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers)


def test_a_message_holds_ids_alone(house: House, study: Study, receiver: Receiver) -> None:
    add(house, receiver.url)
    for action in (Action.ANALYSIS_SUCCEEDED, Action.REVIEW_SIGNED, Action.STUDY_DELETED):
        happen(study, action)
    collect()
    deliver_due()
    sent = b"".join(body for _headers, body in receiver.came).decode()
    assert sent.count("study.deleted") == 1
    for secret in ("P-SECRET", "abnormal", "wrist", "probability", house.reader.email):
        assert secret not in sent


def test_only_what_was_chosen_and_of_this_clinic(house: House, study: Study, receiver: Receiver) -> None:
    add(house, receiver.url, EventType.REVIEW_SIGNED)
    foreign = make_study()
    make_analysis(foreign)
    happen(study)
    happen(foreign, Action.REVIEW_SIGNED)
    assert collect() == 0
    happen(study, Action.REVIEW_SIGNED)
    assert collect() == 1


def test_a_failure_is_tried_again_after_growing_pauses(
    house: House, study: Study, receiver: Receiver
) -> None:
    add(house, receiver.url)
    happen(study)
    collect()
    receiver.answer = 500
    for number, pause in enumerate(PAUSES, start=1):
        before = timezone.now()
        assert deliver_due() == 1
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.status, delivery.attempts) == ("pending", 500, number)
        assert timedelta(0) <= delivery.next_at - before - pause < timedelta(seconds=30)
        assert deliver_due() == 0
        Delivery.objects.update(next_at=timezone.now())
    deliver_due()
    delivery.refresh_from_db()
    assert delivery.state == "failed"
    assert len({headers["webhook-id"] for headers, _body in receiver.came}) == 1
    receiver.answer = 200
    send_again(delivery=delivery)
    deliver_due()
    delivery.refresh_from_db()
    assert delivery.state == "delivered"


@pytest.mark.parametrize("answer", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(house: House, receiver: Receiver, answer: int) -> None:
    endpoint, _secret = add(house, receiver.url)
    send_test(endpoint=endpoint)
    receiver.answer = answer
    deliver_due()
    assert len(receiver.came) == 1
    assert Delivery.objects.get().state == "pending"


def test_gone_is_gone(house: House, receiver: Receiver) -> None:
    endpoint, _secret = add(house, receiver.url)
    send_test(endpoint=endpoint)
    receiver.answer = 410
    deliver_due()
    endpoint.refresh_from_db()
    assert not endpoint.is_active
    assert Delivery.objects.get().state == "failed"
    assert AuditEvent.objects.get(action=Action.WEBHOOK_CHANGED).actor_label == "portal"


def test_a_receiver_that_does_not_answer_is_given_up(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "_SECONDS", 0.2)
    endpoint, _secret = add(house, receiver.url)
    send_test(endpoint=endpoint)
    receiver.pause = 1.0
    deliver_due()
    assert Delivery.objects.get().problem == "time-out"


def test_a_slow_dripping_receiver_is_given_up(
    house: House, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEBHOOK_NETWORKS = ["127.0.0.1"]
    monkeypatch.setattr(delivering, "_SECONDS", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            link, _where = server.accept()
            with link, suppress(OSError):
                for byte in itertools.chain(b"HTTP/1.1 200 ", itertools.repeat(ord("o"))):
                    link.send(bytes([byte]))
                    time.sleep(0.1)

        threading.Thread(target=drip, daemon=True).start()
        endpoint, _secret = add(house, f"http://127.0.0.1:{server.getsockname()[1]}/")
        send_test(endpoint=endpoint)
        deliver_due()
    assert Delivery.objects.get().problem in ("connection", "time-out")


def test_a_pause_is_a_pause(house: House, study: Study, receiver: Receiver) -> None:
    endpoint, _secret = add(house, receiver.url)
    set_active(endpoint=endpoint, is_active=False, actor=Actor(house.admin))
    happen(study)
    assert collect() == 0
    set_active(endpoint=endpoint, is_active=True, actor=Actor(house.admin))
    assert collect() == 0
    happen(study)
    assert collect() == 1
    changes = AuditEvent.objects.filter(action=Action.WEBHOOK_CHANGED).order_by("number")
    assert [(row.actor_label, row.detail) for row in changes] == [
        (house.admin.email, {"is_active": False}),
        (house.admin.email, {"is_active": True}),
    ]


def test_the_log_is_kept_for_a_month(house: House, receiver: Receiver) -> None:
    endpoint, _secret = add(house, receiver.url)
    for days in (29, 31):
        delivery = send_test(endpoint=endpoint)
        Delivery.objects.filter(pk=delivery.pk).update(
            state="delivered", finished_at=timezone.now() - timedelta(days=days)
        )
    forget_old()
    assert Delivery.objects.count() == 1


def test_the_secret_lies_encrypted(house: House, receiver: Receiver) -> None:
    endpoint, secret = add(house, receiver.url)
    row = Endpoint.objects.values().get(pk=endpoint.pk)
    assert secret.removeprefix("whsec_").encode() not in bytes(row["secret"])
    assert secret not in str(AuditEvent.objects.values())


def test_a_receiver_that_is_away_keeps_no_other_waiting(
    house: House, study: Study, receiver: Receiver
) -> None:
    """Ten thousand messages to one were all that a round looked at."""
    dead, _secret = add(house, "https://dead.invalid/")
    alive, _secret = add(house, receiver.url)
    add_endpoint(clinic=make_study().clinic, actor=Actor(house.admin), url=receiver.url, events=["x"])
    long_ago = timezone.now() - timedelta(hours=1)
    Delivery.objects.bulk_create(
        Delivery(endpoint=dead, event="test", payload={}, next_at=long_ago) for _ in range(400)
    )
    for endpoint in (alive, *Endpoint.objects.exclude(clinic=house.clinic)):
        send_test(endpoint=endpoint)
    assert delivering.deliver_due() <= 2 * delivering._PER_CLINIC
    assert len(receiver.came) == 2
    assert Delivery.objects.filter(endpoint=dead, attempts=1).count() < delivering._PER_CLINIC


def test_addresses_that_do_not_answer_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    patience: list[float] = []

    def create_connection(where: Any, timeout: float) -> Any:
        patience.append(timeout)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", create_connection)
    link = Connection(check_url("https://slow.example/"), [f"192.0.2.{n}" for n in range(99)], timeout=8)
    with pytest.raises(TimeoutError):
        link.connect()
    assert patience == [pytest.approx(8 / left, rel=0.2) for left in (4, 3, 2, 1)]


def test_one_test_is_on_its_way(house: House) -> None:
    endpoint, _secret = add(house, "https://receiver.example/")
    assert send_test(endpoint=endpoint) == send_test(endpoint=endpoint)
    assert Delivery.objects.count() == 1


def test_a_clinic_has_so_many(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MOST", 1)
    add(house, "https://receiver.example/")
    form = {"url": "https://receiver.example/", "events": ["analysis.succeeded"]}
    response = browser(house.admin).post(reverse("webhooks", args=[house.clinic.slug]), form)
    assert response.status_code == 422
    assert "at most" in response.content.decode()
    assert Endpoint.objects.count() == 1
