"""A pytest plugin: one PostgreSQL and one Redis for the test run, started before Django reads its settings.

Every run has its own servers, ports and folder, so several runs can go on at once. ``TEST_DATABASE_URL`` and
``TEST_REDIS_URL`` name servers to use instead; that database role must be allowed to create databases.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from pathlib import Path

import pytest

from xrayportal.embedded.account import Account
from xrayportal.embedded.postgres import Postgres
from xrayportal.embedded.redis import Redis
from xrayportal.embedded.servers import start_on_free_port

#: Speed instead of safety: the data is thrown away.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before pytest-django, which loads the settings here."""
    var = Path(tempfile.mkdtemp(prefix="xray-tests-"))
    early_config.add_cleanup(lambda: shutil.rmtree(var, ignore_errors=True))
    (var / "static").mkdir()
    environment = {
        "VAR_DIR": str(var),
        "MEDIA_ROOT": str(var / "media"),
        "STATIC_ROOT": str(var / "static"),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "HTTPS": "false",
        "DEBUG": "false",
        "DATABASE_URL": os.environ.get("TEST_DATABASE_URL", ""),
        "REDIS_URL": os.environ.get("TEST_REDIS_URL", ""),
    }
    account = Account.choose()
    if not environment["DATABASE_URL"]:
        postgres = start_on_free_port(
            lambda port: Postgres(
                account=account,
                home=account.home(var, "postgres"),
                port=port,
                password=secrets.token_urlsafe(12),
                options=FAST,
                create_databases=True,
            )
        )
        early_config.add_cleanup(postgres.stop)
        environment["DATABASE_URL"] = postgres.url
    if not environment["REDIS_URL"]:
        redis = start_on_free_port(
            lambda port: Redis(
                account=account,
                home=account.home(var, "redis"),
                port=port,
                password=secrets.token_urlsafe(12),
                durable=False,
            )
        )
        early_config.add_cleanup(redis.stop)
        environment["REDIS_URL"] = redis.url
    os.environ.update(environment)
