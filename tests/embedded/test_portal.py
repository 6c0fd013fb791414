"""A whole portal on one machine: started, used, stopped, started again, killed. Nothing is a stand-in."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.waiting import PATIENCE
from xrayportal.embedded.ports import choose_port
from xrayportal.embedded.processes import wait_until

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """One running portal and what it prints."""

    process: subprocess.Popen[bytes]
    output: Path
    port: int

    def answers(self, path: str) -> bool:
        """Whether the address is there with status 200."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def wait_for(self, text: str) -> None:
        """Until it has printed this."""
        found = wait_until(
            lambda: text in self.output.read_text() or self.process.poll() is not None, seconds=PATIENCE
        )
        assert found, self.output.read_text()
        assert text in self.output.read_text(), self.output.read_text()

    def family(self) -> list[psutil.Process]:
        """Every process of the tree."""
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]


def environment(var: Path, port: int) -> dict[str, str]:
    """Of a person at a terminal: nothing of the test run's own servers."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "VAR_DIR": str(var), "PORT": str(port)}


def command(kind: str) -> list[str]:
    """What ``make demo`` and ``make up`` run."""
    return [sys.executable, "-m", "xrayportal.embedded", kind]


class Starter:
    """Starts portals with the same data, and makes sure that none is left."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.port = choose_port()
        self.runs: list[Run] = []

    def start(self, kind: str) -> Run:
        """In a session of its own, as in a terminal."""
        output = self.var.parent / f"output-{len(self.runs)}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                command(kind),
                cwd=ROOT,
                env=environment(self.var, self.port),
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.runs.append(Run(process, output, self.port))
        return self.runs[-1]

    def refused(self, kind: str, *, var: Path, port: int) -> str:
        """The sentence of a start that must fail."""
        done = subprocess.run(
            command(kind), cwd=ROOT, env=environment(var, port), capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture
def starter() -> Iterator[Starter]:
    """Data where an ordinary account can reach it."""
    with tempfile.TemporaryDirectory(prefix="xray-portal-") as folder:
        Path(folder).chmod(0o711)
        starter = Starter(Path(folder) / "var")
        yield starter
        for run in starter.runs:
            run.process.terminate()
            run.process.wait(timeout=PATIENCE)


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all of them end."""
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    return all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


@pytest.mark.slow
def test_start_stop_start_kill(starter: Starter) -> None:
    first = starter.start("demo")
    first.wait_for("Research use only")
    logins = starter.var / "demo-logins.txt"
    assert logins.stat().st_mode & 0o777 == 0o600
    password = logins.read_text().split("reader@south.example")[1].split()[0]
    assert password in first.output.read_text()
    assert first.answers("/readyz")

    taken = starter.refused("up", var=starter.var.parent / "other", port=starter.port)
    assert f"Port {starter.port} of this machine is taken by another program" in taken
    in_use = starter.refused("up", var=starter.var, port=choose_port())
    assert f"already running with the data in {starter.var}" in in_use

    members = first.family()
    assert len(members) >= 8, "servers, web with two workers, worker with a child, reconciler"
    os.killpg(first.process.pid, signal.SIGINT)
    assert first.process.wait(timeout=PATIENCE) == 0
    assert gone(members)

    remembered = (starter.var / "portal.env").read_text(), logins.read_text()
    second = starter.start("demo")
    assert wait_until(lambda: second.answers("/readyz"), seconds=PATIENCE)
    assert ((starter.var / "portal.env").read_text(), logins.read_text()) == remembered
    second.wait_for(f"The demo logins are in {logins}.")
    assert password not in second.output.read_text(), "passwords are printed once"

    (server,) = [
        process for process in second.family() if process.name() in ("redis-server", "valkey-server")
    ]
    server.kill()
    second.wait_for("redis had ended by itself and was started again.")
    for name in ("reconciler", "web"):
        os.kill(json.loads((starter.var / "run" / f"{name}.json").read_text())["pid"], signal.SIGKILL)
    second.wait_for("reconciler | ended by itself (signal 9) and is started again at once")
    second.wait_for("web        | ended by itself (signal 9) and is started again at once")
    assert wait_until(lambda: second.answers("/readyz"), seconds=PATIENCE)

    members = second.family()
    second.process.kill()
    assert gone(members)


def test_a_taken_port_is_found_before_anything_starts(starter: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"Port {port} of this machine is taken" in starter.refused("up", var=starter.var, port=port)
    assert not (starter.var / "postgres").exists()
