"""Memory and start of the processes that stay: the pipeline alone, and a portal's worker and web process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO

import psutil

from benchmarks.pictures import ROOT, ordinary
from benchmarks.registry import Row, UnmeasurableError, benchmark
from benchmarks.timing import row

_STARTS = 3
_PORTAL_SECONDS = 180
_MEBIBYTE = 2**20

#: What a worker child does, without Celery: load, say so, analyse the files of a folder, say so.
_PIPELINE = """
import sys
from pathlib import Path
from typing import IO
from inference_worker.bundle import Bundle, find_bundle
from inference_worker.pipeline import Pipeline
from inference_worker.runtimes import load_runtimes
bundle = Bundle.load(find_bundle())
pipeline = Pipeline(bundle, load_runtimes(bundle, precision="auto"))
print("ready", flush=True)
for path in sorted(Path(sys.argv[1]).iterdir()):
    pipeline.analyse(path.read_bytes())
print("done", flush=True)
sys.stdin.read()
"""


@benchmark("memory and start, pipeline alone")
def pipeline() -> Iterable[Row]:
    starts, sizes = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(ordinary(20)[0]):
            Path(folder, f"{number:02}.jpg").write_bytes(data)
        for _ in range(_STARTS):
            clock = time.perf_counter()
            with subprocess.Popen(
                [sys.executable, "-c", _PIPELINE, folder],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as process:
                assert process.stdout is not None
                assert process.stdin is not None
                assert process.stdout.readline() == "ready\n"
                starts.append(time.perf_counter() - clock)
                assert process.stdout.readline() == "done\n"
                sizes.append(psutil.Process(process.pid).memory_info().rss / _MEBIBYTE)
                process.stdin.close()
    yield row("start to ready", starts, "s", at_most=5)
    yield row("resident after 20 pictures", sizes, "MiB", at_most=700)


@benchmark("memory and start, portal")
def portal() -> Iterable[Row]:
    with running_portal() as (launcher, port, ready_at):
        for path in ("/healthz", "/readyz", "/statusz", "/"):
            _get(port, path)
        tree = psutil.Process(launcher).children(recursive=True)
        web = [process for process in tree if _is_child_of(process, "gunicorn")]
        worker = [process for process in tree if _is_child_of(process, "celery")]
        heads = [process for process in tree if "celery" in _words(process) and process not in worker]
        if not web or not worker or not heads:
            raise UnmeasurableError("the portal runs, but its web or worker processes were not recognised")
        yield row("worker start to ready", [ready_at - heads[0].create_time()], "s", at_most=5)
        yield row("worker process, resident", [_resident(each) for each in worker], "MiB", at_most=700)
        yield row("web process, resident", [_resident(each) for each in web], "MiB", at_most=200)


@contextmanager
def running_portal() -> Iterator[tuple[int, int, float]]:
    """A portal of its own in a folder of its own: pid of the launcher, port, when it became ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="xray-bench-", ignore_cleanup_errors=True) as folder:
        # Servers that refuse to run as root run as another user, who must be able to enter.
        Path(folder).chmod(0o755)
        with (
            tempfile.TemporaryFile() as log,
            subprocess.Popen(
                [sys.executable, "-m", "xrayportal.embedded", "up"],
                cwd=ROOT,
                env={**os.environ, "PORT": str(port), "VAR_DIR": folder},
                stdout=log,
                stderr=log,
            ) as launcher,
        ):
            try:
                yield launcher.pid, port, _when_ready(launcher, port, log)
            finally:
                launcher.send_signal(signal.SIGINT)
                try:
                    launcher.wait(30)
                except subprocess.TimeoutExpired:
                    launcher.kill()


def _when_ready(launcher: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> float:
    deadline = time.monotonic() + _PORTAL_SECONDS
    while time.monotonic() < deadline:
        if launcher.poll() is not None:
            raise UnmeasurableError(f"the portal ended by itself: {_tail(log)}")
        if _get(port, "/statusz") == 200:
            return time.time()
        time.sleep(0.05)
    raise UnmeasurableError(f"the portal was not ready in {_PORTAL_SECONDS} s: {_tail(log)}")


def _get(port: int, path: str) -> int:
    """The status of a page of the portal; 0 while nothing answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return json.dumps(log.read().decode("utf-8", "replace")[-400:])


def _words(process: psutil.Process) -> set[str]:
    try:
        line = process.cmdline()
    except psutil.Error:  # it has just ended
        return set()
    return {Path(word).name for part in line for word in part.split()}


def _is_child_of(process: psutil.Process, program: str) -> bool:
    parent = process.parent()
    return parent is not None and program in _words(process) and program in _words(parent)


def _resident(process: psutil.Process) -> float:
    return float(process.memory_info().rss / _MEBIBYTE)
