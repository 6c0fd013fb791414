"""A whole portal on this machine, as ``make up`` starts it, with a folder, a port and servers of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from trials.clinic import EMAIL, make_clinic
from trials.visitor import Visitor
from xrayportal.embedded.environment import PortalFile
from xrayportal.embedded.processes import wait_until

ROOT = Path(__file__).resolve().parent.parent
#: Numbers of a hospital, but for those that would make a trial last for hours.
ENVIRONMENT = {
    "SESSION_COOKIE_NAME": "sessionid",
    "CSRF_COOKIE_NAME": "csrftoken",
    "TASK_HARD_SECONDS": "30",
    "ORPHAN_GRACE_SECONDS": "60",
    "ORPHAN_SWEEP_SECONDS": "5",
    "LOG_LEVEL": "WARNING",
}
START_SECONDS = 120


@dataclass
class Portal:
    """One portal on one machine, and what it has been through."""

    var: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    password: str = ""
    is_mounted: bool = False
    taken: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Of a person at a terminal, with the trial's numbers."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        media = {"MEDIA_ROOT": str(self.media)}
        return {**kept, **ENVIRONMENT, **media, "VAR_DIR": str(self.var), "PORT": str(self.port)}

    @property
    def media(self) -> Path:
        """The folder of the stored files."""
        return self.var / "files" / "media"

    @property
    def database(self) -> str:
        """The address of the portal's PostgreSQL."""
        return PortalFile(self.var).values["DATABASE_URL"]

    def start(self) -> None:
        """As `make up` does; returns when it can analyse."""
        with (self.var.parent / "portal.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "xrayportal.embedded", "up"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if not wait_until(self.is_well, seconds=START_SECONDS):
            raise RuntimeError(f"the portal did not start: {self.log()[-2000:]}")

    def stop(self) -> None:
        """As Ctrl-C does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)

    def log(self) -> str:
        """What the portal's processes have said."""
        return (self.var.parent / "portal.log").read_text(errors="replace")

    def make_clinic(self) -> None:
        """A clinic with one person, who may do everything in it."""
        self.password = make_clinic(self.manage)

    def manage(self, *arguments: str) -> str:
        """Run ``manage.py``."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def is_well(self) -> bool:
        """Whether ``/statusz`` is green."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/statusz")
            return bool(json.loads(connection.getresponse().read())["status"] == "ok")
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return False
        finally:
            connection.close()

    def pid(self, name: str) -> int:
        """The number of a process that the supervisor keeps."""
        return int(json.loads((self.var / "run" / f"{name}.json").read_text())["pid"])

    def children(self, name: str, contains: str = "") -> list[psutil.Process]:
        """The processes below one that the supervisor keeps."""
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            below = psutil.Process(self.pid(name)).children(recursive=True)
            return [process for process in below if contains in _command(process)]
        return []

    def visitor(self) -> Visitor:
        """A person who is signed in."""
        visitor = Visitor(f"http://127.0.0.1:{self.port}")
        visitor.sign_in(EMAIL, self.password)
        return visitor


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
