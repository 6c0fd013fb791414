"""The health endpoints: no sign-in, and the name of what is missing."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.functions import Now
from django.test import Client

from tests.factories import make_bundle, make_user
from xrayportal.analyses.models import Bundle, Heartbeat, Worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def bundle() -> Bundle:
    """The active bundle."""
    return make_bundle()


@pytest.fixture
def whole(bundle: Bundle) -> None:
    """A portal in which all services work: a worker with the active bundle loaded, and a reconciler."""
    Worker.objects.create(name="one", bundle=bundle.name, runtime="openvino", precision="f32")
    Heartbeat.objects.create(name=Heartbeat.RECONCILER)


def ask(client: Client, path: str) -> tuple[int, dict[str, Any]]:
    """The status and the body of an endpoint's answer."""
    response = client.get(path)
    return response.status_code, response.json()


def test_the_process_lives_without_a_database(client: Client, django_assert_num_queries: Any) -> None:
    client.force_login(make_user())  # a browser's cookie, say
    with django_assert_num_queries(0):
        response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")
    assert "no-store" in response["Cache-Control"]


def test_ready_whatever_broker_and_workers_do(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert ask(client, "/readyz")[0] == 200


def test_not_ready_before_the_migrations(client: Client) -> None:
    MigrationRecorder.Migration.objects.filter(app="audit").delete()
    status, body = ask(client, "/readyz")
    assert (status, body["missing"]) == (503, ["migrations"])
    assert ask(client, "/statusz")[0] == 503


@pytest.mark.usefixtures("whole")
def test_all_parts_are_there(client: Client, bundle: Bundle) -> None:
    status, body = ask(client, "/statusz")
    assert (status, body["status"], body["missing"]) == (200, "ok", [])
    assert body["services"]["workers"]["active_bundle"] == bundle.name
    assert body["services"]["queues"]["interactive"] == {"waiting": 0, "running": 0}
    assert "name" not in body["services"]["workers"]["live"][0], "host names are nobody's business"


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (lambda: Worker.objects.all().delete(), "workers"),
        (lambda: Worker.objects.update(bundle="older@1"), "workers"),
        (lambda: Worker.objects.update(last_seen=Now() - timedelta(minutes=5)), "workers"),
        (lambda: Bundle.objects.update(is_active=False), "workers"),
        (lambda: Heartbeat.objects.update(last_seen=Now() - timedelta(minutes=5)), "reconciler"),
        (lambda: Heartbeat.objects.all().delete(), "reconciler"),
    ],
)
def test_what_is_missing_is_named(client: Client, change: Any, missing: str) -> None:
    change()
    status, body = ask(client, "/statusz")
    assert (status, body["status"], body["missing"]) == (503, "unavailable", [missing])


@pytest.mark.usefixtures("whole")
def test_a_lost_broker_is_named_and_soon(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    status, body = ask(client, "/statusz")
    assert (status, body["status"], body["missing"], body["degraded"]) == (200, "degraded", [], ["broker"])
    assert "127.0.0.1" not in str(body), "addresses of servers are nobody's business"


@pytest.mark.usefixtures("whole")
def test_the_command_says_the_same() -> None:
    output = StringIO()
    call_command("health", stdout=output)
    assert "reconciler" in output.getvalue()
    Heartbeat.objects.all().delete()
    call_command("health", "database", "broker", stdout=output)
    with pytest.raises(CommandError, match=r"Not working: reconciler\."):
        call_command("health", "database", "reconciler")


def test_posting_is_not_asking(client: Client) -> None:
    assert client.post("/statusz").status_code == 405


def test_models_and_migrations_agree() -> None:
    assert connection.vendor == "postgresql"
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
