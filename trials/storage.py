"""The tests of the object storage against a real S3 server: Ceph's, started in a folder of its own.

Needs root and Debian's packages radosgw, ceph-mon and ceph-osd. One monitor, one store in memory and one
gateway, all on loopback; about twenty seconds and 170 MB.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trials.ports import free_ports
from xrayportal.embedded.ports import is_free
from xrayportal.embedded.processes import wait_until

ROOT = Path(__file__).resolve().parent.parent
ACCESS_KEY, SECRET_KEY = "PORTAL", "a-secret-for-the-time-of-this-trial"
PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
START_SECONDS = 60


class Ceph:
    """The smallest Ceph that serves S3; ``folder`` holds all of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._config = folder / "ceph.conf"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.port, self._monitor = free_ports(2)

    @property
    def address(self) -> str:
        """Where S3 is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Make keys and stores, start the three processes, and wait until S3 answers."""
        folder, cluster = self._folder, str(uuid.uuid4())
        for name in ("mon", "osd", "rgw"):
            (folder / name).mkdir()
        self._config.write_text(self._settings(cluster))
        keys, monmap = str(folder / "keys"), str(folder / "monmap")
        self._run(
            "ceph-authtool", "--create-keyring", keys, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"
        )
        rights = [part for name in ("mon", "osd", "mgr") for part in ("--cap", name, "allow *")]
        self._run("ceph-authtool", keys, "--gen-key", "-n", "client.admin", *rights)
        monitor = f"v2:127.0.0.1:{self._monitor}"
        self._run("monmaptool", "--create", "--fsid", cluster, "--addv", "a", f"[{monitor}]", monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keys)
        self._start("ceph-mon", "-i", "a")
        store = str(uuid.uuid4())
        self._run("ceph", "osd", "new", store, "0")
        rights = ["mon", "allow profile osd", "mgr", "allow profile osd", "osd", "allow *"]
        self._run("ceph", "auth", "get-or-create", "osd.0", *rights, "-o", str(folder / "osd" / "keyring"))
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", store)
        self._start("ceph-osd", "-i", "0")
        gateway = str(folder / "rgw" / "keyring")
        self._run(
            "ceph",
            "auth",
            "get-or-create",
            "client.rgw",
            "mon",
            "allow rw",
            "osd",
            "allow rwx",
            "-o",
            gateway,
        )
        keys_of_user = ("--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY)
        self._run("radosgw-admin", "user", "create", "--uid=portal", "--display-name=portal", *keys_of_user)
        self._start("radosgw", "-n", "client.rgw")
        if not wait_until(lambda: not is_free(self.port), seconds=START_SECONDS):
            raise RuntimeError("The S3 server did not start.")

    def stop(self) -> None:
        """End the processes, the last one first."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _settings(self, cluster: str) -> str:
        folder = self._folder
        return f"""[global]
fsid = {cluster}
mon host = v2:127.0.0.1:{self._monitor}
public network = 127.0.0.0/8
keyring = {folder}/keys
run dir = {folder}
admin socket = {folder}/$cluster-$name.$pid.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
mon allow pool size one = true
mon data avail crit = 1
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{self.port}
rgw rados pool pg num min = 1
[osd]
keyring = {folder}/osd/keyring
[client.rgw]
keyring = {folder}/rgw/keyring
"""

    def _run(self, program: str, *arguments: str) -> None:
        command = [program, "--conf", str(self._config), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr[-1000:]}")

    def _start(self, program: str, *arguments: str) -> None:
        command = [program, "--conf", str(self._config), "--foreground", *arguments]
        with (self._folder / f"{program}.out").open("wb") as out:
            self._processes.append(subprocess.Popen(command, stdout=out, stderr=out))


@contextmanager
def s3_server() -> Iterator[Ceph]:
    """A running S3 server. Raises RuntimeError with a sentence where it cannot be."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise RuntimeError(f"Not on PATH: {', '.join(missing)}. Debian has them: radosgw ceph-mon ceph-osd.")
    with tempfile.TemporaryDirectory(prefix="xray-s3-") as folder:
        ceph = Ceph(Path(folder))
        try:
            ceph.start()
            yield ceph
        finally:
            ceph.stop()


def main() -> int:
    """The exit status of pytest, or 1 where the server did not start."""
    try:
        with s3_server() as server:
            environment = {
                **os.environ,
                "TEST_S3_URL": server.address,
                "TEST_S3_ACCESS_KEY": ACCESS_KEY,
                "TEST_S3_SECRET_KEY": SECRET_KEY,
            }
            tests = [sys.executable, "-m", "pytest", "tests/studies/test_object_storage.py", *sys.argv[1:]]
            return subprocess.run(tests, cwd=ROOT, env=environment, check=False).returncode
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
