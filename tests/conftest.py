"""What every test may use; the servers come from ``tests/services.py``."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from psycopg2 import sql
from pytest_django import DjangoDbBlocker

from tests import chromium
from tests.waiting import PATIENCE

#: What any test may ask for: a clinic with its people, opinions of theirs, analyses that wait.
pytest_plugins = ["tests.house", "tests.addresses", "tests.opinions", "tests.analyses.fixtures"]

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: What the live server calls its threads, one a connection: after ``ThreadingMixIn``'s method.
ANSWERING = "process_request_thread"
#: Tables whose rows come with the tables themselves.
KEPT = {"django_migrations", "django_content_type", "auth_permission"}
#: Everybody else's sessions in the tests' database.
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def pytest_configure() -> None:
    """Playwright runs a loop in the test's thread; static files need no build; passwords are cheap."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    from django.conf import settings

    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES["anchors"] = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.CACHES["default"]["BACKEND"] = "tests.caching.LastingCache"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers (``-n 2``) begin with the files of slow tests, so that none is left over for one of them."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Transactional tests empty the tables at their end; the audit chain refuses that, so it stands aside.

    Only those that hold rows, and not what ``migrate`` wrote: Django's own way empties all of them and has
    every app's content types and permissions written again, which takes five times as long.

    Requests that browsers left unanswered when their pages closed may still be at work in threads of the live
    server, and a killed worker's statement in PostgreSQL; emptying the tables beside it may end in deadlock.
    A request is at work between its statements too, so its thread is waited for and not only what it asks.
    At the very end none of them keeps the database from being dropped.
    """
    from django.db import connection, transaction
    from django.test import TransactionTestCase

    def let_others_finish() -> None:
        end = time.monotonic() + PATIENCE
        with connection.cursor() as cursor:
            while time.monotonic() < end:
                cursor.execute(f"SELECT 1 {OTHERS} AND state <> 'idle'")
                answering = any(ANSWERING in thread.name for thread in threading.enumerate())
                if cursor.fetchone() is None and not answering:
                    return
                time.sleep(0.02)

    def empty(case: TransactionTestCase) -> None:
        let_others_finish()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(filled)
            if names := [sql.Identifier(name) for (name,) in cursor.fetchall()]:
                cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER audit_no_truncate")
                cursor.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(names)))
                cursor.execute("ALTER TABLE audit_auditevent ENABLE TRIGGER audit_no_truncate")

    with django_db_blocker.unblock():
        tables = sorted({*connection.introspection.django_table_names(only_existing=True)} - KEPT)
    one = sql.SQL("(SELECT {} FROM {} LIMIT 1)")
    filled = sql.SQL(" UNION ALL ").join(
        one.format(sql.Literal(name), sql.Identifier(name)) for name in tables
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty)
        yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}")


@pytest.fixture(autouse=True)
def no_anchors() -> None:
    """Chains end with their test: an anchor of another test's would say that one was taken away."""
    from django.core.files.storage import storages

    storages._storages.pop("anchors", None)  # type: ignore[attr-defined]  # a new one is empty


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """What a page keeps for a moment is of this test."""
    from django.core.cache import cache

    cache.clear()


@pytest.fixture(autouse=True)
def still_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll is unchanged for as long as nothing happens, however slow the test; browsers look again."""
    from xrayportal.web.shared import polling

    if "live_server" not in request.fixturenames:
        monkeypatch.setattr(polling, "clock_every", lambda seconds: "0")


@pytest.fixture(autouse=True)
def english() -> None:
    """A request leaves its language behind in its thread: no test begins in another's."""
    from django.conf import settings
    from django.utils import translation

    translation.activate(settings.LANGUAGE_CODE)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The browser that ``tests/chromium.py`` finds or has installed. A quick machine is not assumed."""
    expect.set_options(timeout=1000 * PATIENCE)
    found = chromium.find()
    system = {} if found is None else {"executable_path": found}
    return {**browser_type_launch_args, **system, "args": CHROMIUM_FLAGS}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the radiographs that are not part of the repository."""
    folder = Path(os.environ.get("XRAY_SHARED") or ROOT.parent / "shared") / "data"
    if not folder.is_dir():
        pytest.skip(f"the shared data is not at {folder}")
    return folder
