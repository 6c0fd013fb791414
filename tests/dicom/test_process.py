"""The node as a process: ports that open for the first clinic, and an end that loses nothing."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.factories import make_clinic
from tests.live.conftest import until
from tests.waiting import PATIENCE
from xrayportal.analyses.models import Heartbeat
from xrayportal.dicom.models import Listener
from xrayportal.dicom.node.process import Node
from xrayportal.embedded.ports import choose_port, is_free

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def port(settings: Any) -> int:
    settings.DICOM_PORT = choose_port()
    return int(settings.DICOM_PORT)


@pytest.mark.django_db(transaction=True)
def test_ports_open_for_the_first_clinic_and_close_after_the_last(port: int) -> None:
    node = Node()
    node.round()
    assert node.ports == []
    assert Heartbeat.objects.filter(name=Heartbeat.DICOM_NODE).exists()
    listener = Listener.objects.create(clinic=make_clinic(), ae_title="PORTAL")
    node.round()
    assert node.ports == [port]
    assert not is_free(port)
    node.round()
    listener.delete()
    node.round()
    assert node.ports == []
    assert is_free(port)


@pytest.mark.django_db(transaction=True)
def test_a_taken_port_is_told_once_and_tried_again(port: int, caplog: pytest.LogCaptureFixture) -> None:
    Listener.objects.create(clinic=make_clinic(), ae_title="PORTAL")
    node = Node()
    with closing(socket.create_server(("127.0.0.1", port))):
        node.round()
        node.round()
    assert caplog.text.count("The DICOM ports cannot be opened") == 1
    node.round()
    assert node.ports == [port]
    Listener.objects.all().delete()
    node.round()


@pytest.mark.django_db(transaction=True)
def test_it_runs_until_it_is_stopped(port: int) -> None:
    Listener.objects.create(clinic=make_clinic(), ae_title="PORTAL")
    node = Node()
    running = threading.Thread(target=node.run)
    running.start()
    until(lambda: node.ports == [port])
    node.stop()
    running.join(PATIENCE)
    assert not running.is_alive()
    assert is_free(port)


def test_without_a_port_the_command_only_waits() -> None:
    command = [sys.executable, "manage.py", "dicom_node"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "DICOM_PORT is not set: no DICOM node.\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
