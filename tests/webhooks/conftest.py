"""A receiver of webhooks, a study that something happens to, and a webhook."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.factories import make_analysis, make_study, make_submission
from tests.house import House
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.studies.models import Study
from xrayportal.webhooks.models import Endpoint, EventType
from xrayportal.webhooks.services import add_endpoint


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
