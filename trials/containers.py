"""The whole stack of docker-compose.yml on this machine's container engine, from the build to the last stop.

Builds both images, starts everything with the proxy's certificate and two workers, waits until all are
healthy, signs a person in over HTTPS, sends two pictures and waits for their results, asks every container
for its limits, and stops all. It has a project name, ports, secrets and volumes of its own and removes them
at the end.

``COMPOSE`` names another program than ``docker compose``; ``PULL=never`` keeps to images that are there.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.pictures import ordinary
from trials.clinic import CLINIC, EMAIL, make_clinic
from trials.errors import TrialError
from trials.ports import free_ports
from trials.visitor import Visitor

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "xray-portal-trial"
WORKERS = 2
#: Seconds until all containers say that they are healthy, and until a picture has its result.
START_SECONDS, RESULT_SECONDS = 240, 60


class Stack:
    """The composed stack; ``folder`` holds its secrets."""

    def __init__(self, folder: Path) -> None:
        self.ports = free_ports(3)
        self.certificate = folder / "portal.crt"
        key = folder / "portal.key"
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        made = ["-newkey", "rsa:2048", "-noenc", "-keyout", str(key), "-out", str(self.certificate)]
        _run(["openssl", "req", "-x509", "-days", "2", *subject, *made])
        self.environment = {
            **os.environ,
            "SECRET_KEY": secrets.token_urlsafe(50),
            **{
                name: secrets.token_hex(16)
                for name in (
                    *("POSTGRES_PASSWORD", "OWNER_DATABASE_PASSWORD"),
                    *("PORTAL_DATABASE_PASSWORD", "REDIS_PASSWORD"),
                )
            },
            "ALLOWED_HOSTS": "localhost",
            "CSRF_TRUSTED_ORIGINS": f"https://localhost:{self.ports[0]}",
            "TRUSTED_PROXIES": "1",
            "PROXY_ADDRESS": "127.0.0.1",
            "TLS_CERTIFICATE": str(self.certificate),
            "TLS_KEY": str(key),
            **dict(zip(("HTTPS_PORT", "HTTP_PORT", "PORT"), map(str, self.ports), strict=True)),
        }
        (folder / "env").touch()
        compose = shlex.split(os.environ.get("COMPOSE", "docker compose"))
        file = ["--file", str(ROOT / "docker-compose.yml"), "--env-file", str(folder / "env")]
        self._compose = [*compose, *file, "--project-name", PROJECT, "--profile", "tls"]

    def __call__(self, *arguments: str) -> str:
        """Run compose; returns what it prints. Raises TrialError with what it said."""
        return _run([*self._compose, *arguments], self.environment)

    def sql(self, statement: str) -> str:
        """Ask PostgreSQL as its superuser."""
        psql = ("psql", "--username", "postgres", "--dbname", "portal", "--tuples-only", "--no-align")
        return self("exec", "--no-TTY", "postgres", *psql, "--command", statement).strip()


def main() -> int:
    """Exit status 0, or 1 with a sentence."""
    with tempfile.TemporaryDirectory(prefix="xray-containers-") as folder:
        stack = Stack(Path(folder))
        try:
            _try(stack)
        except TrialError as error:
            print(f"Failed: {error}", file=sys.stderr)
            with suppress(TrialError):  # it may be compose itself that fails
                print(stack("logs", "--tail", "20"), file=sys.stderr)
            return 1
        finally:
            with suppress(TrialError):
                stack("down", "--volumes", "--timeout", "30")
    print("The stack was built, started, used and stopped.")
    return 0


def _try(stack: Stack) -> None:
    with _Step("built both images"):
        stack("build")
    pull = os.environ.get("PULL", "missing")
    with _Step(f"all healthy with {WORKERS} workers"):
        scale = ("--scale", f"worker={WORKERS}")
        wait = ("--wait", "--wait-timeout", str(START_SECONDS))
        stack("up", "--no-build", "--pull", pull, "--detach", *scale, *wait)
    with _Step("a person sent two pictures over HTTPS and both have a result"):
        _send(stack)
    with _Step("every container is limited, read-only and without rights"):
        _check_limits(stack)
    with _Step("workers and web ended in order"):
        stack("stop", "worker", "web", "reconciler")
        _check_exits(stack)


def _send(stack: Stack) -> None:
    def manage(*arguments: str) -> str:
        return stack("exec", "--no-TTY", "web", "python", "manage.py", *arguments)

    password = make_clinic(manage)
    visitor = Visitor(f"https://localhost:{stack.ports[0]}", str(stack.certificate))
    visitor.sign_in(EMAIL, password)
    pictures = ordinary(2)[0]
    visitor.send(CLINIC, [(f"{n}.jpg", picture) for n, picture in enumerate(pictures)], len(pictures))
    end = time.monotonic() + RESULT_SECONDS
    while True:
        states = stack.sql("SELECT state, count(*) FROM analyses_analysis GROUP BY state")
        if states == f"succeeded|{len(pictures)}":
            return
        if "failed" in states or time.monotonic() > end:
            raise TrialError(f"the analyses are: {states or 'none'}")
        time.sleep(0.5)


def _check_limits(stack: Stack) -> None:
    for line in stack("ps", "--format", "json").splitlines():
        container = json.loads(line)
        inspected = json.loads(_run(["docker", "inspect", container["ID"]], stack.environment))[0]
        host, name = inspected["HostConfig"], container["Service"]
        wrong = [
            sentence
            for sentence, holds in {
                "has no memory limit": host["Memory"] > 0,
                "has no processor limit": host["NanoCpus"] > 0,
                "may write to its image": host["ReadonlyRootfs"],
                "keeps rights": host["CapDrop"] == ["ALL"],
                "may fork without end": (host["PidsLimit"] or 0) > 0,
                "fills the disk with its log": "max-size" in host["LogConfig"]["Config"],
            }.items()
            if not holds
        ]
        if wrong:
            raise TrialError(f"{name} {', '.join(wrong)}")


def _check_exits(stack: Stack) -> None:
    """Whether no process had to be killed: the kernel's 137 says so."""
    for line in stack("ps", "--all", "--format", "json").splitlines():
        container = json.loads(line)
        if container["State"] == "exited" and container["ExitCode"] == 137:
            raise TrialError(f"{container['Service']} had to be killed")


def _secrets() -> list[str]:
    """The variables that .env.example leaves to whoever installs the portal."""
    return re.findall(r"^(\w+_(?:KEY|PASSWORD))=$", (ROOT / ".env.example").read_text(), re.MULTILINE)


class _Step:
    """Says what was done, and how long it took."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            print(f"{time.monotonic() - self._start:6.1f} s  {self._sentence}", flush=True)


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise TrialError(f"{command[0]} is not on PATH") from None
    if done.returncode:
        raise TrialError(f"{' '.join(command[:6])} …: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
