"""A pytest plugin: one PostgreSQL and one Redis for the test run, started before Django reads its settings.

Every run has its own servers, ports and folder, so several runs can go on at once; with ``-n 2`` each of
the worker processes has. ``TEST_DATABASE_URL`` and ``TEST_REDIS_URL`` name servers to use instead; that
database role must be allowed to create databases, and worker number n uses Redis' database number n.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from xrayportal.embedded.account import Account
from xrayportal.embedded.postgres import ROLE, Postgres
from xrayportal.embedded.redis import Redis
from xrayportal.embedded.servers import start_on_free_port

#: Speed instead of safety: the data is thrown away.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
#: Where the database is for processes that have the portal's rights and no more; unset with other servers.
PORTAL_URL = "XRAY_TEST_PORTAL_URL"
#: Set in a worker of pytest-xdist: its name, ``gw0`` and so on.
WORKER = "PYTEST_XDIST_WORKER"
#: A file's tests share what its fixtures make, so they stay together; files begin in the order of collection.
BY_FILE = ["--dist", "loadfile", "--no-loadscope-reorder"]
#: For the process that hands the tests out and runs none: it reads the settings, and connects nowhere.
NOWHERE = {"TEST_DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "TEST_REDIS_URL": "redis://127.0.0.1:1"}


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Before pytest-django, which loads the settings here."""
    var = Path(tempfile.mkdtemp(prefix="xray-tests-"))
    early_config.add_cleanup(lambda: shutil.rmtree(var, ignore_errors=True))
    (var / "static").mkdir()
    chosen: Mapping[str, str] = os.environ
    if hands_out(early_config):
        chosen, args[:] = NOWHERE, [*BY_FILE, *args]
    environment = {
        "VAR_DIR": str(var),
        "MEDIA_ROOT": str(var / "media"),
        "STATIC_ROOT": str(var / "static"),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "HTTPS": "false",
        "DEBUG": "false",
        "DATABASE_URL": chosen.get("TEST_DATABASE_URL", ""),
        "DATABASE_PORTAL_ROLE": "" if chosen.get("TEST_DATABASE_URL") else ROLE,
        "REDIS_URL": numbered(chosen.get("TEST_REDIS_URL", "")),
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
        # The tests migrate and empty tables, so they are the owner; processes that they start are the portal.
        environment["DATABASE_URL"] = postgres.owner_url
        environment[PORTAL_URL] = postgres.url
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


def hands_out(config: pytest.Config) -> bool:
    """Whether this process only gives the tests to workers (pytest-xdist's ``-n``), which are told so too."""
    return WORKER not in os.environ and bool(getattr(config.known_args_namespace, "numprocesses", None))


def numbered(url: str) -> str:
    """The address of this worker's own database in a Redis that the workers share; "" stays so."""
    worker = os.environ.get(WORKER, "").removeprefix("gw")
    return urlsplit(url)._replace(path=f"/{worker}").geturl() if url and worker else url
