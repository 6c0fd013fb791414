"""Where a webhook may go: to public addresses and listed networks, and never inside."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError

from tests.house import House
from tests.webhooks.conftest import Receiver, add
from xrayportal.webhooks import delivering
from xrayportal.webhooks.addresses import NotPermittedError, check_url, permitted_addresses
from xrayportal.webhooks.delivering import deliver_due
from xrayportal.webhooks.models import Delivery
from xrayportal.webhooks.services import send_test

pytestmark = pytest.mark.django_db

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
