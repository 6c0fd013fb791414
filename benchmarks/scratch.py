"""A portal's servers for one measurement: PostgreSQL and Redis in a folder of their own, then removed."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.pictures import ROOT
from benchmarks.registry import UnmeasurableError
from xrayportal.embedded.account import Account
from xrayportal.embedded.postgres import ROLE, Postgres
from xrayportal.embedded.redis import Redis
from xrayportal.embedded.servers import start_on_free_port


@contextmanager
def scratch_portal() -> Iterator[dict[str, str]]:
    """The environment of a migrated, empty portal; safe writes, as in production."""
    var = Path(tempfile.mkdtemp(prefix="xray-bench-"))
    account = Account.choose()
    # What refuses to run as root runs as another user, who must be able to enter.
    var.chmod(0o755)
    postgres = redis = None
    try:
        postgres = start_on_free_port(
            lambda port: Postgres(
                account=account,
                home=account.home(var, "postgres"),
                port=port,
                password=secrets.token_urlsafe(12),
            )
        )
        redis = start_on_free_port(
            lambda port: Redis(
                account=account,
                home=account.home(var, "redis"),
                port=port,
                password=secrets.token_urlsafe(12),
            )
        )
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "xrayportal.settings",
            "VAR_DIR": str(var),
            "MEDIA_ROOT": str(var / "media"),
            "STATIC_ROOT": str(var / "static"),
            "SECRET_KEY": secrets.token_urlsafe(50),
            "HTTPS": "false",
            "LOG_LEVEL": "WARNING",
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
        }
        owner = {"DATABASE_URL": postgres.owner_url, "DATABASE_PORTAL_ROLE": ROLE}
        manage({**environment, **owner}, "prepare")
        manage(environment, "collectstatic", "--noinput")
        yield environment
    finally:
        for server in (redis, postgres):
            if server is not None:
                server.stop()
        shutil.rmtree(var, ignore_errors=True)


def manage(environment: dict[str, str], *words: str) -> str:
    """Run a command of ``manage.py``; returns its output."""
    command = [sys.executable, "manage.py", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnmeasurableError(f"manage.py {words[0]} failed: {done.stderr[-400:]}")
    return done.stdout
