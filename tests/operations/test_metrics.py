"""What Prometheus reads, and what a machine reads in the log."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from tests.factories import make_analysis, make_clinic, make_study, make_submission, png
from xrayportal.analyses.models import Analysis
from xrayportal.clinics.actors import PORTAL
from xrayportal.intake.ingest import IncomingFile, ingest_file
from xrayportal.logs import JsonFormatter, LineFormatter, log_context
from xrayportal.operations.metrics import DatabaseCollector
from xrayportal.operations.reconciler import Reconciler

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-for-prometheus"
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(**headers: str) -> Any:
    return Client(headers={"host": "127.0.0.1"}).get("/metrics", headers=headers)


def values(text: str) -> Values:
    """Every sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def figures() -> Values:
    registry = CollectorRegistry()
    registry.register(DatabaseCollector())
    return values(generate_latest(registry).decode())


def one(found: Values, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


@pytest.mark.parametrize(
    ("token", "header"),
    [
        ("", "Bearer "),
        ("", "Bearer None"),
        (TOKEN, ""),
        (TOKEN, TOKEN),
        (TOKEN, f"Bearer {TOKEN}x"),
        (TOKEN, "Bearer \xe4"),
    ],
)
def test_without_the_token_there_is_no_such_page(settings: Settings, token: str, header: str) -> None:
    settings.METRICS_TOKEN = token
    assert scrape(authorization=header).status_code == 404


@pytest.mark.django_db
def test_with_the_token_both_kinds_of_figures_come(settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    scrape(authorization=f"Bearer {TOKEN}")
    found = values(scrape(authorization=f"Bearer {TOKEN}").content.decode())
    assert one(found, "xray_database_up") == 1
    requests = {"view": "metrics", "method": "GET", "status": "2xx"}
    assert one(found, "xray_http_request_seconds_count", **requests) >= 1


@pytest.mark.django_db
def test_the_queue_is_told_as_it_is() -> None:
    now = timezone.now()
    clinic = make_clinic()
    for seconds in (40, 90):
        make_analysis(make_study(clinic), Analysis.State.QUEUED, not_before=now - timedelta(seconds=seconds))
    make_analysis(make_study(clinic), Analysis.State.QUEUED, not_before=now + timedelta(minutes=5))
    make_analysis(make_study(clinic), Analysis.State.RUNNING, leased_until=now - timedelta(seconds=5))
    make_analysis(make_study(clinic), Analysis.State.RUNNING)
    make_analysis(make_study(clinic), Analysis.State.FAILED)
    make_analysis(make_study(clinic), Analysis.State.FAILED, finished_at=now - timedelta(hours=1))
    make_analysis(make_study(clinic))
    found = figures()
    assert one(found, "xray_queue_due", queue="interactive") == 2
    assert 90 <= one(found, "xray_queue_oldest_seconds", queue="interactive") < 150
    assert one(found, "xray_queue_oldest_seconds", queue="bulk") == 0
    assert one(found, "xray_queue_delayed") == 1
    assert one(found, "xray_leases") == 2
    assert one(found, "xray_leases_expired") == 1
    assert one(found, "xray_recent_failures", reason="truncated") == 1, "of the last quarter of an hour"
    assert one(found, "xray_recent_verdicts", verdict="abnormal") == 1
    assert one(found, "xray_stage_median_seconds", stage="decode") == pytest.approx(0.003)


@pytest.mark.parametrize("probe", ["healthz", "readyz", "metrics"])
@pytest.mark.django_db
def test_probes_ask_by_address_and_without_https(settings: Settings, probe: str) -> None:
    """A kubelet and Prometheus ask a process by its own address, over plain HTTP inside the cluster."""
    settings.METRICS_TOKEN, settings.SECURE_SSL_REDIRECT = TOKEN, True
    response = Client(headers={"host": "10.1.2.3:8000", "authorization": f"Bearer {TOKEN}"}).get(f"/{probe}")
    assert response.status_code == 200
    assert response.headers["Content-Security-Policy"]
    assert not response.cookies


def test_a_database_that_is_away_is_a_figure_not_an_error() -> None:
    with patch("xrayportal.operations.metrics.head_of_queue", side_effect=OperationalError):
        assert figures() == {("xray_database_up", frozenset()): 0}


@pytest.mark.django_db
def test_a_request_without_a_view_makes_no_series_of_its_own(settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    Client(headers={"host": "127.0.0.1"}).get("/some/../made-up/address")
    Client(headers={"host": "127.0.0.1"}).generic("MADEUP", "/healthz")
    text = scrape(authorization=f"Bearer {TOKEN}").content.decode()
    assert "made-up" not in text
    assert "MADEUP" not in text


@contextmanager
def logged(formatter: logging.Formatter) -> Iterator[list[str]]:
    """The lines of all loggers of the portal, formatted."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(formatter.format(record))  # type: ignore[method-assign]
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield lines
    finally:
        root.removeHandler(handler)


def test_a_line_of_json_has_its_ids_and_no_quoted_row() -> None:
    error = OperationalError("duplicate key\nDETAIL:  Key (name)=(Erika Mustermann) exists.")
    with logged(JsonFormatter()) as lines:
        try:
            raise error
        except OperationalError:
            with log_context(study="s-1"), log_context(analysis="a-1"):
                logging.getLogger("xrayportal.test").exception("No %s", "luck")
    (line,) = lines
    assert "\n" not in line
    told = json.loads(line)
    assert (told["message"], told["level"], told["study"], told["analysis"]) == (
        "No luck",
        "ERROR",
        "s-1",
        "a-1",
    )
    assert "duplicate key" in told["traceback"]
    assert "Mustermann" not in line


def test_a_line_for_people_ends_with_its_ids() -> None:
    with logged(LineFormatter("%(levelname)s %(message)s")) as lines:
        with log_context(study="s-1"):
            logging.getLogger("xrayportal.test").error("Inside")
        logging.getLogger("xrayportal.test").error("Outside")
    assert lines == ["ERROR Inside [study=s-1]", "ERROR Outside"]


@pytest.mark.django_db
def test_the_request_of_a_proxy_and_the_study_meet_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("xrayportal.trail").setLevel("INFO")
    submission = make_submission(make_clinic())
    incoming = IncomingFile(submission=submission, key="k", path="a.png", actor=PORTAL)
    with logged(JsonFormatter()) as lines, log_context(request_id="r-1"):
        upload = ingest_file(incoming, BytesIO(png()))
    logging.getLogger("xrayportal.trail").setLevel("WARNING")
    assert upload.image is not None
    trail = [json.loads(line) for line in lines if str(upload.pk) in line]
    assert [(line["request_id"], line["study"]) for line in trail] == [("r-1", str(upload.image.study_id))]


@pytest.mark.parametrize(
    ("proxies", "sent", "kept"),
    [
        (1, "0123456789abcdef", True),
        (0, "0123456789abcdef", False),
        (1, 'x"} forged', False),
        (1, "a" * 65, False),
    ],
)
def test_only_a_proxy_of_ours_may_name_a_request(
    settings: Settings, proxies: int, sent: str, *, kept: bool
) -> None:
    settings.TRUSTED_PROXIES = proxies
    response = Client(headers={"host": "127.0.0.1"}).get("/healthz", headers={"x-request-id": sent})
    answered = response.headers["X-Request-ID"]
    assert (answered == sent) is kept
    assert re.fullmatch(r"[0-9a-f]{16,32}", answered)


@pytest.mark.django_db(transaction=True)
def test_the_reconciler_logs_what_hosts_scale_by(settings: Settings) -> None:
    settings.QUEUE_LOG_SECONDS = 60
    due = timezone.now() - timedelta(seconds=30)
    make_analysis(make_study(), Analysis.State.QUEUED, not_before=due)
    reconciler = Reconciler()
    with logged(JsonFormatter()) as lines:
        reconciler._log_queue()
        reconciler._log_queue()
    (told,) = (json.loads(line) for line in lines if "oldest_seconds" in line)
    assert (told["event"], told["due"], told["workers"]) == ("queue", 1, 0)
    assert told["oldest_seconds"] >= 30


def defined() -> set[str]:
    """Every metric that the code defines, with the names that a histogram and a counter become."""
    code = "".join(
        (ROOT / path).read_text() for path in ("xrayportal/operations/metrics.py", "xrayportal/telemetry.py")
    )
    names = set(re.findall(r'"(xray_\w+)"', code))
    return names | {f"{name}{ending}" for name in names for ending in ("_bucket", "_count", "_sum", "_total")}


def test_every_figure_is_documented() -> None:
    documented = set(re.findall(r"`(xray_\w+)", (ROOT / "docs" / "monitoring.md").read_text()))
    code = (ROOT / "xrayportal" / "operations" / "metrics.py").read_text()
    assert set(re.findall(r'"(xray_\w+)"', code)) - {"xray_audit_events"} <= documented
    assert documented <= defined()


@pytest.mark.parametrize("file", ["alerts.yml", "dashboard.json"])
def test_alerts_and_dashboard_ask_for_what_exists(file: str) -> None:
    asked = set(re.findall(r"xray_\w+", (ROOT / "deploy" / "monitoring" / file).read_text()))
    assert asked <= defined()


def test_every_alert_has_its_line_in_the_runbook() -> None:
    groups = yaml.safe_load((ROOT / "deploy" / "monitoring" / "alerts.yml").read_text())["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"]]
    runbook = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "monitoring.md").read_text(), re.MULTILINE)
    assert sorted(alerts) == sorted(name for name in runbook if name[0].isupper())
    assert all(
        {"summary", "runbook"} <= rule["annotations"].keys() for group in groups for rule in group["rules"]
    )
