"""A portal's processes for the live tests: a real worker, a real reconciler, real servers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from django.conf import settings
from django.db import connection

from tests.factories import make_clinic, make_submission
from tests.live.pictures import pictures
from tests.services import PORTAL_URL
from xrayportal.analyses.bundles import register_bundle
from xrayportal.analyses.models import Analysis
from xrayportal.analyses.queue import announce
from xrayportal.celery import app
from xrayportal.clinics.actors import COMMAND_LINE, Actor
from xrayportal.clinics.models import Clinic
from xrayportal.embedded.account import Account
from xrayportal.embedded.processes import ending_with_us
from xrayportal.embedded.redis import Redis
from xrayportal.embedded.servers import start_on_free_port
from xrayportal.intake.ingest import IncomingFile, ingest_file
from xrayportal.intake.services import finish_submission
from xrayportal.studies.models import Submission

ROOT = Path(__file__).resolve().parent.parent.parent
BUNDLE = "fracatlas-lite0"
#: Everything that waits for minutes in a hospital waits for moments here.
QUICK = {
    "LEASE_SECONDS": "2",
    "IDLE_POLL_SECONDS": "0.3",
    "RECONCILE_SECONDS": "0.2",
    "TASK_HARD_SECONDS": "30",
    "LOG_LEVEL": "INFO",
    "XRAY_BATCH": "4",
}
Python = subprocess.Popen[bytes]


class Portal:
    """Starts and ends its processes; their output is in ``logs``."""

    def __init__(self, redis: Redis, logs: Path) -> None:
        self.redis = redis
        self.logs = logs
        self._processes: list[Python] = []

    def worker(self, **environment: str) -> Python:
        """A Celery worker as the Procfile starts it; with ``STRANGE_…`` the strange one."""
        strange = any(name.startswith("STRANGE_") for name in environment)
        program = "tests.live.strange_worker" if strange else "celery"
        options = "--quiet --app xrayportal worker --loglevel INFO --without-gossip --without-mingle"
        return self.start("worker", "-m", program, *options.split(), **environment)

    def reconciler(self, **environment: str) -> Python:
        """As the Procfile starts it."""
        return self.start("reconciler", "manage.py", "reconcile", **environment)

    def start(self, name: str, *arguments: str, **environment: str) -> Python:
        """A Python process of this portal, in a session of its own; it does not outlive a killed test run."""
        # With the rights of the portal's own role where the run's database has one.
        server = urlsplit(os.environ.get(PORTAL_URL) or os.environ["DATABASE_URL"])
        database = server._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
        with (self.logs / f"{len(self._processes)}-{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env={
                    **os.environ,
                    **QUICK,
                    "DATABASE_URL": database,
                    "REDIS_URL": self.redis.url,
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=ending_with_us(signal.SIGKILL),
            )
        self._processes.append(process)
        return process

    def log(self, name: str) -> str:
        """What all processes of that name have said."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.logs.glob(f"*-{name}.log")))

    def end(self) -> None:
        """Every process with its children, whatever state they are in."""
        for process in self._processes:
            kill(process)


def kill(process: Python) -> None:
    """``kill -9`` for the process and every child, at one blow: none is born or goes on between."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def child(process: Python) -> psutil.Process:
    """The worker's child that does the work."""
    (found,) = psutil.Process(process.pid).children()
    return found


def until(condition: Callable[[], Any], seconds: float = 150) -> None:
    """Wait for a condition; the test fails if it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds:g} s; analyses: {states()}")
        time.sleep(0.05)


def states() -> dict[str, int]:
    """How many analyses are in each state."""
    found = list(Analysis.objects.values_list("state", flat=True))
    return {state: found.count(state) for state in sorted(set(found))}


@pytest.fixture
def redis_server() -> Iterator[Redis]:
    """A Redis of the test's own, which it may stop, wipe and start again; our announcements go there."""
    account = Account.choose()
    with tempfile.TemporaryDirectory(prefix="xray-tests-") as folder:
        home = account.home(Path(folder), "redis")
        server = start_on_free_port(
            lambda port: Redis(account=account, home=home, port=port, password="secret", durable=False)
        )
        before = app.conf.broker_url
        _announce_to(server.url)
        yield server
        _announce_to(before)
        server.stop()


def _announce_to(url: str) -> None:
    app.conf.broker_url = url
    app._after_fork()  # what Celery itself does to forget its connections
    announce._breaker.worked()
    announce._breaker._closed_until = 0.0


@pytest.fixture
def portal(transactional_db: None, redis_server: Redis, tmp_path: Path) -> Iterator[Portal]:
    """A portal with the released bundle active, and no process yet."""
    if not (settings.BUNDLES_DIR / BUNDLE / "manifest.json").is_file():
        pytest.fail(f"the bundle {BUNDLE} is missing")
    register_bundle(folder=BUNDLE, activate=True, actor=COMMAND_LINE)
    logs = tmp_path / "logs"
    logs.mkdir()
    portal = Portal(redis_server, logs)
    yield portal
    portal.end()
    # pytest shows it when the test failed.
    sys.stdout.write("\n".join(f"{path.name}\n{path.read_text()}" for path in sorted(logs.iterdir())))


@pytest.fixture
def submit(transactional_db: None) -> Callable[..., Submission]:
    """Sends so many pictures through the real ingest: ``submit(12, clinic=…, marked={3: b"poison"})``."""

    def send(
        count: int, *, clinic: Clinic | None = None, marked: dict[int, bytes] | None = None
    ) -> Submission:
        submission = make_submission(clinic or make_clinic(), expected_files=count)
        for number, content in enumerate(pictures(count, marked or {})):
            ingest_file(
                IncomingFile(
                    submission=submission,
                    key=f"key-{number}",
                    actor=Actor(submission.submitter),
                    path=f"view_{number}.tif",
                ),
                content,
            )
        finish_submission(submission=submission, actor=Actor(submission.submitter))
        return submission

    return send
