"""Webhooks: told what happened, signed, again after a failure, and never to an address inside."""

from __future__ import annotations

import http.server
import itertools
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from django.urls import reverse
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from tests.factories import make_analysis, make_study, make_submission
from tests.house import House, browser
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.studies.models import Study
from xrayportal.webhooks import delivering, services
from xrayportal.webhooks.addresses import Connection, NotPermittedError, check_url, permitted_addresses
from xrayportal.webhooks.delivering import PAUSES, collect, deliver_due, forget_old
from xrayportal.webhooks.models import Delivery, Endpoint, EventType
from xrayportal.webhooks.services import add_endpoint, send_again, send_test, set_active

pytestmark = pytest.mark.django_db


class Receiver(http.server.ThreadingHTTPServer):
    """A receiver on loopback; answers with ``answer`` after ``pause`` seconds, keeps what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.pause = 204, 0.0
        self.came: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}/hook?x=1"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
        time.sleep(self.server.pause)
        self.send_response(self.server.answer)
        if 300 <= self.server.answer < 400:
            self.send_header("Location", self.server.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """A receiver in a network that the operator lists."""
    settings.WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def study(house: House) -> Study:
    """A study with a result."""
    row = make_study(submission=make_submission(house.clinic, house.uploader), patient_reference="P-SECRET")
    make_analysis(row)
    return row


def add(house: House, url: str, *events: str) -> tuple[Endpoint, str]:
    """A webhook of the clinic's admin."""
    chosen = events or EventType.values
    return add_endpoint(clinic=house.clinic, actor=Actor(house.admin), url=url, events=chosen)


def happen(study: Study, action: Action = Action.ANALYSIS_SUCCEEDED) -> AuditEvent:
    """What a worker writes when it is done."""
    return record(clinic=study.clinic, action=action, target=study.current, study=study)


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


# --- where it may go ---

INSIDE = [
    *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1"),
    *("224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "2002:a00:1::", "2001:0:a00:1::"),
    *("::127.0.0.1", "::ffff:0:127.0.0.1", "fec0::1", "64:ff9b:1::a00:1", "5f00::1", "100::1", "2001:db8::1"),
]


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Have names resolve to these addresses, each time to the next; the names that were asked for."""
    asked: list[str] = []
    left = list(answers)

    def getaddrinfo(host: str, port: int, **kwargs: Any) -> list[Any]:
        asked.append(host)
        return [(0, 0, 0, "", (address, port)) for address in left.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("address", INSIDE)
def test_nothing_goes_inside(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, [address])
    with pytest.raises(NotPermittedError, match="private-address"):
        permitted_addresses("receiver.example", 443, is_plain=False)


def test_public_addresses_are_permitted_and_listed_networks(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    resolving(
        monkeypatch, ["10.0.0.1", "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"], ["10.1.2.3"]
    )
    found = permitted_addresses("receiver.example", 443, is_plain=False)
    assert found == ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]
    settings.WEBHOOK_NETWORKS = ["10.1.0.0/16"]
    assert permitted_addresses("inside.example", 80, is_plain=True) == ["10.1.2.3"]


def test_a_name_that_changes_its_mind_gains_nothing(
    house: House, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolving(monkeypatch, ["93.184.215.14"], ["127.0.0.1"])
    connected: list[Any] = []

    def create_connection(where: Any, *arguments: Any, **kwargs: Any) -> Any:
        connected.append(where)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", create_connection)
    endpoint, _secret = add(house, "https://rebinding.example/")
    send_test(endpoint=endpoint)
    deliver_due()
    assert asked == ["rebinding.example"]
    assert connected == [("93.184.215.14", 443)]
    assert Delivery.objects.get().problem == "connection"


def test_a_delivery_to_the_inside_is_in_the_log(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint, _secret = add(house, "https://metadata.example/latest")
    send_test(endpoint=endpoint)
    resolving(monkeypatch, ["169.254.169.254"])
    deliver_due()
    assert Delivery.objects.get().problem == "private-address"


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
def test_one_clinics_impossible_name_keeps_nobody_waiting(
    house: House, receiver: Receiver, settings: Any, host: str
) -> None:
    """Python raises UnicodeError for it, not OSError."""
    impossible, _secret = add(house, f"https://{host}/")
    endpoint, _secret = add(house, receiver.url)
    send_test(endpoint=impossible)
    send_test(endpoint=endpoint)
    assert deliver_due() == 2
    assert Delivery.objects.get(endpoint=impossible).problem == "unknown-host"
    assert Delivery.objects.get(endpoint=endpoint).state == "delivered"


def test_the_rounds_go_on_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    deliverer, rounds = delivering.Deliverer(), 0

    def collect() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            deliverer.stop()
        raise (InterfaceError, RuntimeError, OperationalError)[rounds - 1]("away")

    monkeypatch.setattr(delivering, "collect", collect)
    monkeypatch.setattr(delivering, "_PAUSE_SECONDS", 0.0)
    deliverer.start()
    deliverer.join()
    assert rounds == 3


@pytest.mark.parametrize(
    "url",
    [
        *("", "receiver.example", "ftp://receiver.example", "http://receiver.example", "https://"),
        *(
            "https://user:password@receiver.example/",
            "https://receiver.example/#part",
            "https://r.example:0/",
        ),
        *(
            "https://r.example:99999/",
            "https://r.example/a b",
            "https://r.example/\r\nX: y",
            "file:///etc/passwd",
        ),
        *("https://[::1", "https://bücher.example/"),
    ],
)
def test_wrong_addresses_are_refused(url: str) -> None:
    with pytest.raises(NotPermittedError):
        check_url(url)


# --- the pages ---


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
