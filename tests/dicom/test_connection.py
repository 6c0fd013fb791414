"""Tests of a destination's connection: what the node finds, and what the page says of it."""

from __future__ import annotations

import gc
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.dicom.conftest import CALLED, CALLING, Node
from tests.factories import make_clinic
from tests.house import House, browser
from tests.waiting import PATIENCE
from xrayportal.audit.models import AuditEvent
from xrayportal.dicom.connection import outcome_of, run_tests
from xrayportal.dicom.models import Destination
from xrayportal.embedded.ports import choose_port

#: pynetdicom leaves it to Python to close a socket that could not be connected.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <(socket|ssl):ResourceWarning")


@pytest.fixture(autouse=True)
def networks(settings: Any) -> None:
    settings.DICOM_DESTINATION_NETWORKS = ["127.0.0.0/8"]


@pytest.fixture(autouse=True)
def closed_sockets() -> Iterator[None]:
    """Have Python close them before the next test, which takes no such warning."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@contextmanager
def answering(port_of: socket.socket, answer: bytes) -> Iterator[int]:
    """A server that answers one caller with these bytes and hangs up."""

    def serve() -> None:
        connection, _address = port_of.accept()
        with closing(connection):
            connection.recv(4096)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    with closing(port_of):
        thread.start()
        yield port_of.getsockname()[1]
        thread.join(PATIENCE)


def test_c_echo_tells_what_is_wrong(node: Node) -> None:
    """Our own node is the archive."""

    def found(**changes: Any) -> tuple[str, str]:
        usual = {"ae_title": CALLED, "calling_ae_title": CALLING, "host": "127.0.0.1", "port": node.port}
        return outcome_of(Destination(clinic=node.clinic, **usual | changes))

    assert found() == ("accepted", "")
    assert found(ae_title="NOBODY") == ("called-unknown", "")
    assert found(calling_ae_title="STRANGER") == ("calling-unknown", "")
    assert found(port=choose_port()) == ("unreachable", "")
    assert found(host="no.such.invalid") == ("host-unknown", "")
    assert found(host="192.0.2.1") == ("not-permitted", "")
    assert found(uses_tls=True)[0] == "unreachable-over-tls"
    with answering(socket.create_server(("127.0.0.1", 0)), b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert found(port=port) == ("not-dicom", "")


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (200, ("answers", "HTTP 200")),
        (405, ("answers", "HTTP 405")),
        (401, ("credentials-refused", "HTTP 401")),
        (404, ("refused", "HTTP 404")),
        (503, ("refused", "HTTP 503")),
    ],
)
def test_a_web_address_is_asked_and_gets_nothing(status: int, found: tuple[str, str]) -> None:
    seen: list[tuple[str, str, str | None]] = []

    class Archive(BaseHTTPRequestHandler):
        def do_OPTIONS(self) -> None:
            seen.append((self.path, self.headers["Host"], self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Archive) as server:
        threading.Thread(target=server.handle_request).start()
        where = f"localhost:{server.server_port}"
        assert outcome_of(Destination(protocol="stow", url=f"http://{where}/dicom-web/studies")) == found
    assert [(path, host) for path, host, _length in seen] == [("/dicom-web/studies", where)]
    assert seen[0][2] in (None, "0")


@pytest.mark.django_db(transaction=True)
def test_an_admin_tests_and_is_told(house: House) -> None:
    row = Destination.objects.create(
        clinic=house.clinic,
        name="Archive",
        ae_title="ORTHANC",
        calling_ae_title="PORTAL",
        host="127.0.0.1",
        port=choose_port(),
    )
    address = reverse("dicom-connection", args=[house.clinic.slug, row.pk])
    admin, htmx = browser(house.admin), {"hx-request": "true"}
    waiting = admin.post(address, headers=htmx).content.decode()
    assert "Testing the connection …" in waiting
    assert "every 1s" in waiting
    assert run_tests() == 1
    assert run_tests() == 0
    told = admin.get(address).content.decode()
    assert "The archive cannot be reached." in told
    assert "every 1s" not in told
    page = admin.get(reverse("dicom-settings", args=[house.clinic.slug])).content.decode()
    assert "The archive cannot be reached." in page
    event = AuditEvent.objects.get(action="dicom-tested")
    assert (event.actor_label, event.detail) == (house.admin.email, {"destination": "Archive"})

    for _again in range(5):
        assert admin.post(address).status_code == 302
    assert "6 tests a minute at most" in admin.post(address, headers=htmx).content.decode()
    assert AuditEvent.objects.filter(action="dicom-tested").count() == 6
    Destination.objects.update(test_asked_at=timezone.now() - timedelta(minutes=1))
    assert run_tests() == 0
    assert "The DICOM node gave no answer" in admin.get(address).content.decode()


@pytest.mark.django_db
def test_only_the_clinics_admins(house: House) -> None:
    row = Destination.objects.create(
        clinic=make_clinic(slug="elsewhere"), name="Archive", protocol="stow", url="http://127.0.0.1/"
    )
    own = Destination.objects.create(
        clinic=house.clinic, name="Archive", protocol="stow", url="http://127.0.0.1/"
    )
    address = reverse("dicom-connection", args=[house.clinic.slug, row.pk])
    assert browser(house.admin).post(address).status_code == 404
    for person in (house.reader, house.uploader, house.stranger):
        address = reverse("dicom-connection", args=[house.clinic.slug, own.pk])
        assert browser(person).post(address).status_code == 404
    assert not AuditEvent.objects.filter(action="dicom-tested").exists()
