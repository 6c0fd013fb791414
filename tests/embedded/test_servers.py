"""The embedded servers by themselves: restarts, leftovers, lock files of dead runs, sentences for people."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import psutil
import psycopg2
import pytest
import redis

from tests.services import FAST
from tests.waiting import PATIENCE
from xrayportal.embedded import account as accounts
from xrayportal.embedded import backoff
from xrayportal.embedded import redis as redis_server
from xrayportal.embedded.account import Account
from xrayportal.embedded.errors import StartProblem
from xrayportal.embedded.ports import choose_port
from xrayportal.embedded.postgres import Postgres
from xrayportal.embedded.processes import wait_until
from xrayportal.embedded.redis import Redis
from xrayportal.embedded.servers import Keeper, start_on_free_port

Make = Callable[..., Postgres]


@pytest.fixture(scope="module")
def var() -> Iterator[Path]:
    """A folder that an ordinary account can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="xray-servers-") as folder:
        yield Path(folder)


@pytest.fixture
def postgres(var: Path) -> Iterator[Make]:
    """Makes servers on the same data; those that still run afterwards are stopped."""
    made: list[Postgres] = []

    def make(**options: str) -> Postgres:
        account = Account.choose()
        server = Postgres(
            account=account,
            home=account.home(var, "postgres"),
            port=choose_port(),
            password="p",
            options={**FAST, "synchronous_commit": "on", **options},
        )
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()


def query(server: Postgres, statement: str) -> list[tuple[object, ...]]:
    """Run a statement as the database's owner."""
    connection = psycopg2.connect(server.owner_url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def test_data_outlives_a_kill(postgres: Make) -> None:
    first = postgres()
    first.start()
    query(first, "CREATE TABLE IF NOT EXISTS kept AS SELECT 7 AS number")
    os.kill(first.pid, signal.SIGKILL)
    second = postgres()
    second.start()
    assert query(second, "SELECT number FROM kept") == [(7,)]
    assert query(second, "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user") == [
        (False, False)
    ]


def test_what_one_role_owned_before_goes_to_the_owner(postgres: Make) -> None:
    """Data of a version whose portal owned its tables, and the database."""
    server = postgres()
    server.start()
    query(server, "CREATE TABLE IF NOT EXISTS kept AS SELECT 7 AS number")
    with closing(server._connect("portal")) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for statement in ("ALTER TABLE kept OWNER TO portal", "ALTER DATABASE portal OWNER TO portal"):
            cursor.execute(statement)
    server.stop()
    server.start()
    owners = "SELECT tableowner FROM pg_tables WHERE tablename = 'kept'"
    assert query(server, owners) == [("portal_owner",)]
    for statement in ("DROP TABLE kept", "SELECT * FROM kept", "CREATE TABLE mine (id int)"):
        with (
            closing(psycopg2.connect(server.url)) as connection,
            connection.cursor() as cursor,
            pytest.raises(psycopg2.errors.InsufficientPrivilege),
        ):
            cursor.execute(statement)


def test_the_owners_password_is_the_servers_alone(postgres: Make) -> None:
    server = postgres()
    server.start()
    password = server.home / "owner-password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert password.stat().st_uid == server.account.uid
    assert password.read_text() not in server.url


def test_a_leftover_on_the_same_data_is_ended(postgres: Make) -> None:
    left = postgres()
    left.start()
    process = psutil.Process(left.pid)
    postgres().start()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_lock_file_with_a_reused_number_is_no_obstacle(postgres: Make, var: Path) -> None:
    server = postgres()
    server.start()
    server.stop()
    lock = server.home / "data" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{server.home / 'data'}\n0\n{server.port}\n\n127.0.0.1\n\n")
    server.account.own(lock)
    server.start()


def test_what_keeps_postgres_from_starting_is_shown(postgres: Make) -> None:
    with pytest.raises(StartProblem, match=r"did not start(.|\n)*max_connections"):
        postgres(max_connections="none").start()


def test_a_wrong_password_is_refused(postgres: Make) -> None:
    server = postgres()
    server.start()
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(server.url.replace("portal:p@", "portal:wrong@"))


def test_redis_keeps_its_data_and_moves_when_its_port_is_taken(var: Path) -> None:
    account = Account.choose()

    def make(port: int) -> Redis:
        return Redis(account=account, home=account.home(var, "redis"), port=port, password="secret")

    first = start_on_free_port(make)
    with redis.Redis.from_url(first.url) as client:
        client.set("kept", 7)
    first.stop()
    taken = start_on_free_port(
        lambda port: Redis(account=account, home=account.home(var, "other"), port=port, password="x"),
        remembered=first.port,
    )
    second = start_on_free_port(make, remembered=first.port)
    try:
        assert taken.port == first.port != second.port
        with redis.Redis.from_url(second.url) as client:
            assert client.get("kept") == b"7"
    finally:
        taken.stop()
        second.stop()


def system_server(folder: Path, name: str, version: str, real: Path) -> None:
    """A program of the system that tells its version and notes that it was started."""
    program = folder / name
    program.write_text(
        f"""#!/bin/sh
if [ "$1" = --version ]; then echo "{version}"; exit; fi
echo {name} > started
exec {real} "$@"
"""
    )
    program.chmod(0o755)


def test_the_systems_own_server_is_preferred_if_it_is_new_enough(
    var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account.choose()
    home = account.home(var, "system-redis")
    folder = var / "system"
    folder.mkdir()
    real = account.reachable(redis_server.PACKAGED, ["bin"]) / "bin" / "redis-server"
    system_server(folder, "redis-server", "Redis server v=6.0.16 sha=00000000:0", real)
    system_server(folder, "valkey-server", "Valkey server v=8.1.1 sha=00000000:0", real)
    monkeypatch.setattr(redis_server, "_FOLDERS", str(folder))
    server = start_on_free_port(lambda port: Redis(account=account, home=home, port=port, password="x"))
    server.stop()
    assert (home / "started").read_text() == "valkey-server\n"


def test_no_redis_server_at_all_is_one_sentence(
    var: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "_FOLDERS", str(tmp_path))
    monkeypatch.setattr(redis_server, "PACKAGED", tmp_path)
    account = Account.choose()
    with pytest.raises(StartProblem, match="or newer is on this machine: run `make install`"):
        Redis(account=account, home=account.home(var, "none"), port=choose_port(), password="x").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as another account")
def test_a_clone_that_the_account_cannot_enter(
    var: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "ELSEWHERE", var / "elsewhere")
    var.chmod(0o711)
    private = tmp_path / "root-only"
    (private / "site" / "programs").mkdir(parents=True)
    shutil.copy("/bin/true", private / "site" / "programs")
    private.chmod(0o700)
    before = {folder: folder.stat().st_mode for folder in (private, *private.parents)}
    account = Account.choose()
    home = account.home(private / "site", "postgres")
    root = account.reachable(private / "site", ["programs"])
    assert account.can_enter(home)
    assert (private / "site" / "postgres").resolve() == home.resolve()
    assert home.stat().st_uid == account.uid
    assert (root / "programs" / "true").stat().st_size
    assert account.can_enter(root / "programs")
    assert account.reachable(private / "site", ["programs"]) == root
    assert before == {folder: folder.stat().st_mode for folder in before}, "no folder was opened up"


def test_servers_that_end_are_started_again(postgres: Make, var: Path) -> None:
    """With the same data, on the same port: their clients go on by themselves."""
    account = Account.choose()
    home = account.home(var, "redis")
    database = postgres()
    broker = start_on_free_port(lambda port: Redis(account=account, home=home, port=port, password="x"))
    database.start()
    try:
        query(database, "CREATE TABLE IF NOT EXISTS looked_after AS SELECT 7 AS number")
        with redis.Redis.from_url(broker.url) as client:
            client.set("kept", 7)
        noted: dict[str, int] = {}
        said: list[str] = []
        keeper = Keeper({"postgres": database, "redis": broker}, note=noted.__setitem__, say=said.append)
        keeper.look()
        assert noted == {}
        urls, pids = (database.url, broker.url), (database.pid, broker.pid)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: database.has_ended() and broker.has_ended(), seconds=PATIENCE)

        def are_back() -> bool:
            keeper.look()
            return set(noted) == {"postgres", "redis"}

        assert wait_until(are_back, seconds=PATIENCE), said
        assert noted == {"postgres": database.pid, "redis": broker.pid}
        assert not {*pids} & {*noted.values()}
        assert (database.url, broker.url) == urls
        assert query(database, "SELECT number FROM looked_after") == [(7,)]
        with redis.Redis.from_url(broker.url) as client:
            assert client.get("kept") == b"7"
    finally:
        broker.stop()


class Failing:
    """A server that does not start at first."""

    port, pid = 1, 2

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.starts = 0

    def has_ended(self) -> bool:
        return self.starts <= self.failures

    def start(self) -> None:
        self.starts += 1
        if self.has_ended():
            raise StartProblem("Its port is taken.")

    def stop(self) -> None:
        """Nothing runs."""


def test_a_server_that_cannot_start_is_tried_with_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(backoff, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    said: list[str] = []
    server = Failing(failures=7)
    keeper = Keeper({"redis": server}, note=lambda name, pid: None, say=said.append)
    tried: list[float] = []
    for _ in range(2000):
        before = server.starts
        keeper.look()
        if server.starts > before:
            tried.append(clock[0] - 1000)
        clock[0] += 0.1
    assert [round(moment) for moment in tried] == [0, 1, 3, 7, 15, 31, 61, 91]
    assert said[0] == "redis ended by itself and is tried again in 1 s. Its port is taken."
    assert said[-1] == "redis had ended by itself and was started again."
