"""One portal on one machine: servers, migrations, the Procfile's processes, and an orderly end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from xrayportal.embedded.account import Account
from xrayportal.embedded.announce import LOGINS, NEW_DEMO
from xrayportal.embedded.environment import PortalFile, is_given
from xrayportal.embedded.errors import StartProblem
from xrayportal.embedded.layout import claim
from xrayportal.embedded.lock import Lock
from xrayportal.embedded.ports import is_free
from xrayportal.embedded.postgres import ROLE, Postgres
from xrayportal.embedded.processes import Records, end_with_parent, ending_with_us
from xrayportal.embedded.redis import Redis
from xrayportal.embedded.servers import Keeper, Server, start_on_free_port
from xrayportal.embedded.supervisor import Supervisor

BASE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Request:
    """What the person asked for.

    Attributes:
        var: folder of all data.
        port: of the web server, on 127.0.0.1.
        demo: make demo clinics, users and samples.
        samples: a folder of pictures to submit as well.
        sample_limit: at most so many of them, spread over the folder; 0 for all.
    """

    var: Path
    port: int
    demo: bool
    samples: Path | None
    sample_limit: int

    @property
    def address(self) -> str:
        """Where the browser goes."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def target(self) -> str:
        """What `make` was asked for."""
        return "demo" if self.demo else "up"


def run(request: Request) -> int:
    """Start everything and stay until asked to stop; the exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    if "MAKELEVEL" in os.environ:  # `make` was killed: nobody could stop us any more
        end_with_parent(os.getppid(), signal.SIGTERM)
    is_new_demo = request.demo and not (request.var / LOGINS).exists()
    with ExitStack() as stack:
        environment, servers = _prepare(request, stack)
        return _serve(request, environment, servers, is_new_demo=is_new_demo)


def restore(request: Request, file: Path) -> int:
    """Start the servers on a folder without data, restore a backup, and stop them; the exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    with ExitStack() as stack:
        _prepare(request, stack, file)
    _say(f"Restored. `make up VAR_DIR={request.var}` starts the portal.")
    return 0


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _prepare(
    request: Request, stack: ExitStack, backup: Path | None = None
) -> tuple[dict[str, str], dict[str, Server]]:
    """Everything before the Procfile; what must be ended is left in ``stack``."""
    _make_folder(request.var)
    lock = Lock(request.var, address=request.address)
    stack.callback(lock.release)
    records = Records(request.var / "run")
    left = records.end_leftovers()
    if left:
        _say(f"Ended what an earlier run left behind: {', '.join(left)}.")
    if not is_free(request.port):
        raise StartProblem(
            f"Port {request.port} of this machine is taken by another program: stop that one, or choose "
            f"another port, for example `make {request.target} PORT={request.port + 1}`."
        )
    if not is_given("DATABASE_URL"):
        claim(request.var, target=request.target)
    file = PortalFile(request.var)
    file.make_secrets()
    stack.callback(records.clear)
    servers = _start_servers(request.var, file, records, stack)
    environment = {
        **file.environment({name: value for name, value in os.environ.items() if value}),
        "VAR_DIR": str(request.var),
        "PORT": str(request.port),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
    }
    if os.geteuid() == 0:  # root is the person's choice; Celery's five lines about it say nothing new
        environment["PYTHONWARNINGS"] = "ignore:You're running the worker with superuser privileges"
    if backup is not None:
        _say("Restoring …")
        _manage(_of_owner(environment, servers), "restore", str(backup))
    options = ["--static"]
    if request.demo:
        options.append("--demo")
    if request.samples is not None:
        options += [f"--samples={request.samples}", f"--sample-limit={request.sample_limit}"]
    _say("Preparing the database …")
    _manage(_of_owner(environment, servers), "prepare", *options)
    return environment, servers


def _of_owner(environment: Mapping[str, str], servers: Mapping[str, Server]) -> Mapping[str, str]:
    """The environment of whoever migrates: the embedded database's owner, who gives the portal its rights."""
    postgres = servers.get("postgres")
    if not isinstance(postgres, Postgres):
        return environment
    return {**environment, "DATABASE_URL": postgres.owner_url, "DATABASE_PORTAL_ROLE": ROLE}


def _make_folder(var: Path) -> None:
    try:
        var.mkdir(parents=True, exist_ok=True)
        if not (var / "portal.env").exists():
            var.chmod(0o700)
    except OSError as error:
        raise StartProblem(f"The folder {var} cannot be used for the data: {error.strerror}.") from None


def _start_servers(var: Path, file: PortalFile, records: Records, stack: ExitStack) -> dict[str, Server]:
    """PostgreSQL and Redis, unless the person named others; by the names of their records."""
    servers: dict[str, Server] = {}
    wanted = [name for name in ("DATABASE_URL", "REDIS_URL") if not is_given(name)]
    if not wanted:
        return servers
    account = Account.choose()
    if "DATABASE_URL" in wanted:
        _say("Starting PostgreSQL …")
        home, password = account.home(var, "postgres"), file.password("DATABASE_URL")
        postgres = start_on_free_port(
            lambda port: Postgres(account=account, home=home, port=port, password=password),
            remembered=file.port("DATABASE_URL"),
        )
        stack.callback(postgres.stop)
        records.add("postgres", postgres.pid)
        servers["postgres"] = postgres
        file.put(DATABASE_URL=postgres.url)
    if "REDIS_URL" in wanted:
        _say("Starting Redis …")
        redis_home, redis_password = account.home(var, "redis"), file.password("REDIS_URL")
        redis = start_on_free_port(
            lambda port: Redis(account=account, home=redis_home, port=port, password=redis_password),
            remembered=file.port("REDIS_URL"),
        )
        stack.callback(redis.stop)
        records.add("redis", redis.pid)
        servers["redis"] = redis
        file.put(REDIS_URL=redis.url)
    return servers


def _manage(environment: Mapping[str, str], *arguments: str) -> None:
    """Run ``manage.py``; its own messages are the explanation when it fails."""
    command = [sys.executable, str(BASE / "manage.py"), *arguments]
    done = subprocess.run(
        command,
        env=dict(environment),
        cwd=BASE,
        start_new_session=True,  # Ctrl-C is for us: we end it
        preexec_fn=ending_with_us(signal.SIGTERM),
        check=False,
    )
    if done.returncode:
        raise StartProblem(f"`manage.py {arguments[0]}` failed; its messages are above.")


def _serve(
    request: Request, environment: Mapping[str, str], servers: Mapping[str, Server], *, is_new_demo: bool
) -> int:
    """The Procfile's processes and the servers, until somebody asks; what ends by itself is started again."""
    records = Records(request.var / "run")
    keeper = Keeper(servers, note=records.add, say=_say)
    supervisor = Supervisor(
        BASE / "Procfile", records=records, env=environment, cwd=BASE, look_after=keeper.look
    )
    command = [sys.executable, "-m", "xrayportal.embedded.announce", request.address]
    command += [NEW_DEMO if is_new_demo else request.target, str(request.var)]
    with subprocess.Popen(
        command, cwd=BASE, start_new_session=True, preexec_fn=ending_with_us(signal.SIGTERM)
    ) as announcement:
        supervisor.loop()
        announcement.terminate()
    _say("Stopped.")
    return 0


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may have closed
        sys.stdout.write(f"{sentence}\n")
        sys.stdout.flush()
