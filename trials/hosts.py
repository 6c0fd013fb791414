"""Several hosts on one machine: a worker's link is cut without a word in the middle of the work, and mended.

Out of network namespaces: ``web`` (web processes, reconciler, PostgreSQL), ``store`` (Redis), ``worker-a``
and ``worker-b``, joined by a switch. A person sends pictures to ``web``. When a third of them has a result,
every packet from and to ``worker-a`` is dropped; after a while it is let through again. At the end every
picture has exactly one result, every file that a row names is there, and the audit chains are whole.

Needs root, ``ip`` and ``nft`` (Debian's iproute2 and nftables). Touches no rule and no link of the machine.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import psycopg2

from benchmarks.pictures import ordinary
from trials.clinic import CLINIC, EMAIL, make_clinic
from trials.errors import TrialError
from trials.namespaces import HOSTS, PREFIX, inside, network, run
from trials.visitor import Visitor
from xrayportal.embedded.account import Account
from xrayportal.embedded.postgres import ROLE, Postgres
from xrayportal.embedded.redis import PACKAGED

ROOT = Path(__file__).resolve().parent.parent
LEASE_SECONDS = 6
#: The rules that make a link silent: nobody is told that nothing arrives.
CUT = """table inet cut {
  chain out { type filter hook output priority 0; policy drop; oif lo accept; }
  chain in { type filter hook input priority 0; policy drop; iif lo accept; }
}"""


def main() -> int:
    """Exit status 0, or 1 with a sentence."""
    parser = argparse.ArgumentParser(prog="python -m trials.hosts", description=__doc__)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--cut", type=float, default=20.0, metavar="SECONDS", help="how long the link is cut")
    options = parser.parse_args()
    missing = [program for program in ("ip", "nft") if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        print(f"Needs root, and on PATH: {', '.join(missing) or 'nothing more'}.", file=sys.stderr)
        return 1
    try:
        with ExitStack() as stack:
            _try(stack, options.pictures, options.cut)
    except TrialError as error:
        print(f"Failed: {error}", file=sys.stderr)
        return 1
    return 0


def _try(stack: ExitStack, count: int, cut_seconds: float) -> None:
    stack.enter_context(network())
    portal = stack.enter_context(_portal())
    pictures = [(f"{number}.jpg", data) for number, data in enumerate(ordinary(count)[0])]
    sender = threading.Thread(target=_send, args=(portal, pictures), daemon=True)
    start = time.monotonic()
    sender.start()
    portal.until(lambda: portal.done() >= count // 3, f"{count // 3} of {count} have a result")
    run("nft", "-f", "-", host="worker-a", text=CUT)
    cut, before = time.monotonic(), portal.done()
    print(f"{cut - start:6.1f} s  the link of worker-a is cut; {before} of {count} have a result", flush=True)
    portal.until(
        lambda: not portal.leases_of("worker-a"), "the other worker's host has what the first one held"
    )
    print(
        f"{time.monotonic() - cut:6.1f} s  after the cut nothing is leased to worker-a any more", flush=True
    )
    time.sleep(max(0.0, cut_seconds - (time.monotonic() - cut)))
    during = portal.done()
    if during <= before:
        raise TrialError("nothing was analysed while one link was cut")
    run("nft", "delete", "table", "inet", "cut", host="worker-a")
    mended = time.monotonic()
    print(f"{mended - start:6.1f} s  mended; {during} of {count} have a result", flush=True)
    portal.until(lambda: portal.is_seen("worker-a"), "worker-a reports again")
    print(f"{time.monotonic() - mended:6.1f} s  after the mending worker-a reports again", flush=True)
    portal.until(lambda: not sender.is_alive(), "all pictures are sent")
    portal.until(lambda: portal.done() >= count, "every picture has a result")
    end = time.monotonic() - start
    portal.check(count)
    share = portal.ask("SELECT count(*) FROM analyses_analysis WHERE worker LIKE 'worker-a%'")
    again = portal.ask("SELECT count(*) FROM analyses_analysis WHERE attempt > 1")
    print(
        f"{end:6.1f} s  {count} pictures: none lost, none doubled; {share} by worker-a, {again} begun again"
    )


class Portal:
    """The processes on their hosts; ``owner`` is the database's owner, ``log`` their common output."""

    def __init__(self, environment: dict[str, str], owner: str, log: IO[bytes]) -> None:
        self.environment = environment
        self.owner = owner
        self._log = log
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, host: str, line: str, **environment: str) -> None:
        """Start a line of the Procfile on a host, whose name the process takes for its machine's."""
        command = ["ip", "netns", "exec", PREFIX + host, "unshare", "--uts", "sh", "-c"]
        command += [f'hostname {host}; exec sh docker/process "$1"', "sh", line]
        self._processes.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env={**self.environment, **environment},
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,
            )
        )

    def manage(self, *words: str, **environment: str) -> str:
        """Run a command of ``manage.py`` on the host ``web``."""
        command = ["ip", "netns", "exec", f"{PREFIX}web", sys.executable, "manage.py", *words]
        full = {**self.environment, **environment}
        done = subprocess.run(command, cwd=ROOT, env=full, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TrialError(f"manage.py {words[0]}: {done.stderr[-800:]}")
        return done.stdout

    def ask(self, statement: str) -> int:
        """The one number that this statement gives."""
        with inside("web"):
            connection = psycopg2.connect(self.owner)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return int(cursor.fetchone()[0])
        finally:
            connection.close()

    def done(self) -> int:
        """Analyses that succeeded."""
        return self.ask("SELECT count(*) FROM analyses_analysis WHERE state = 'succeeded'")

    def leases_of(self, host: str) -> int:
        """Analyses that a worker of this host holds."""
        return self.ask(
            f"SELECT count(*) FROM analyses_analysis WHERE state = 'running' AND worker LIKE '{host}%'"  # noqa: S608
        )

    def is_seen(self, host: str) -> bool:
        """Whether a worker of this host reported within the last lease."""
        fresh = f"last_seen > now() - interval '{LEASE_SECONDS} seconds'"
        return bool(self.ask(f"SELECT count(*) FROM analyses_worker WHERE name LIKE '{host}%' AND {fresh}"))  # noqa: S608

    def until(self, condition: Callable[[], object], what: str, seconds: float = 240) -> None:
        """Wait for it. Raises TrialError."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TrialError(f"not within {seconds:g} s: {what}; {self.done()} analyses are done")
            time.sleep(0.2)

    def check(self, count: int) -> None:
        """Raise TrialError unless each picture has one study, analysis, result, event and set of files."""
        for what, statement in {
            "studies": "SELECT count(*) FROM studies_study",
            "analyses": "SELECT count(*) FROM analyses_analysis",
            "results": "SELECT count(*) FROM analyses_analysis WHERE state = 'succeeded'",
            "studies with this result": "SELECT count(DISTINCT current_id) FROM studies_study",
            "findings": "SELECT count(*) FROM analyses_finding",
            "events": "SELECT count(*) FROM audit_auditevent WHERE action = 'analysis-succeeded'",
        }.items():
            if (found := self.ask(statement)) != count:
                raise TrialError(f"{found} {what} for {count} pictures")
        with inside("web"):
            connection = psycopg2.connect(self.owner)
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT unnest(ARRAY[display_file, thumbnail_file]) FROM analyses_finding"
                " UNION ALL SELECT file FROM studies_image"
            )
            named = {row[0] for row in cursor.fetchall()}
        connection.close()
        media = Path(self.environment["MEDIA_ROOT"])
        lost = [name for name in named if not (media / name).is_file()]
        if lost:
            raise TrialError(f"{len(lost)} files are not there, such as {lost[0]}")
        self.manage("verify_audit")

    def end(self) -> None:
        """End every process and its children."""
        for process in reversed(self._processes):
            try:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            except ProcessLookupError:
                process.wait()


@contextmanager
def _portal() -> Iterator[Portal]:
    """PostgreSQL, Redis and the processes, each on its host."""
    var = Path(tempfile.mkdtemp(prefix="xray-hosts-"))
    var.chmod(0o755)  # what refuses to run as root must be able to enter
    account = Account.choose()
    home = account.home(var, "postgres")
    access = home / "access.conf"
    access.write_text("host all all all scram-sha-256\n")
    account.own(access)
    postgres = Postgres(
        account=account,
        home=home,
        port=5432,
        password=secrets.token_hex(16),
        options={"listen_addresses": "*", "hba_file": str(access)},
    )
    password = secrets.token_hex(16)
    with (var / "log").open("wb") as log, ExitStack() as stack:
        stack.callback(shutil.rmtree, var, ignore_errors=True)
        with inside("web"):
            postgres.start()
        stack.callback(postgres.stop)
        environment = _environment(var, postgres.url, password)
        portal = Portal(environment, postgres.owner_url, log)
        stack.callback(portal.end)
        _start_redis(stack, var, password, log)
        portal.manage("prepare", "--static", DATABASE_URL=postgres.owner_url, DATABASE_PORTAL_ROLE=ROLE)
        portal.start("web", "web", BIND=HOSTS["web"], PORT="8000")
        portal.start("web", "reconciler")
        for host in ("worker-a", "worker-b"):
            portal.start(host, "worker")
        for host in ("worker-a", "worker-b"):
            portal.until(lambda host=host: portal.is_seen(host), f"{host} reports")
        try:
            yield portal
        except TrialError:
            log.flush()
            sys.stderr.write((var / "log").read_text(errors="replace")[-4000:])
            raise


def _environment(var: Path, database: str, password: str) -> dict[str, str]:
    """What every process of the portal is told, whatever its host."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "VAR_DIR": str(var),
        "MEDIA_ROOT": str(var / "media"),
        "STATIC_ROOT": str(var / "static"),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "HTTPS": "false",
        "ALLOWED_HOSTS": HOSTS["web"],
        "LOG_LEVEL": "INFO",
        "LEASE_SECONDS": str(LEASE_SECONDS),
        "DATABASE_URL": database.replace("127.0.0.1", HOSTS["web"]),
        "REDIS_URL": f"redis://:{password}@{HOSTS['store']}:6379/0",
    }


def _start_redis(stack: ExitStack, var: Path, password: str, log: IO[bytes]) -> None:
    """Redis on its host, until the stack ends."""
    server = shutil.which("redis-server") or str(PACKAGED / "bin" / "redis-server")
    options = ["--bind", HOSTS["store"], "--requirepass", password, "--save", "", "--dir", str(var)]
    with inside("store"):
        redis = subprocess.Popen([server, *options], stdout=log, stderr=log)
    stack.callback(redis.wait)
    stack.callback(redis.terminate)


def _send(portal: Portal, pictures: list[tuple[str, bytes]]) -> None:
    password = make_clinic(portal.manage)
    with inside("web"):
        visitor = Visitor(f"http://{HOSTS['web']}:8000")
        visitor.sign_in(EMAIL, password)
        visitor.send(CLINIC, pictures, len(pictures))


if __name__ == "__main__":
    sys.exit(main())
