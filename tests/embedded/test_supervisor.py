"""The process tree stays whole, and ends whole whatever happens to its root: real processes and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.waiting import PATIENCE
from xrayportal.embedded.processes import wait_until

ROOT = Path(__file__).resolve().parents[2]
#: A process with a child of its own, like a web server with its workers; it ends its child on TERM.
PROGRAM = """
import os, signal, subprocess, sys, time
child = subprocess.Popen(["sleep", "300"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
def leave(number, frame):
    child.terminate()
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
open(sys.argv[1] + ".tmp", "w").write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".tmp", sys.argv[1])
while True:
    print("working", flush=True)
    time.sleep(0.05)
"""
DRIVER = '''
import os, signal, sys
from pathlib import Path
from xrayportal.embedded.processes import Records
from xrayportal.embedded.supervisor import Supervisor
folder = Path(sys.argv[1])
class Hasty(Supervisor):
    """Interrupted as soon as its first process was started, with it, as a terminal does it."""

    def _start(self, child):
        super()._start(child)
        os.killpg(0, signal.SIGINT)

kind = Hasty if sys.argv[2:] else Supervisor
kind(folder / "Procfile", records=Records(folder / "run"), env=os.environ, cwd=folder).loop()
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two processes to run."""
    (tmp_path / "program.py").write_text(PROGRAM)
    lines = [f"{name}: {sys.executable} program.py {name}.pids" for name in ("first", "second")]
    (tmp_path / "Procfile").write_text("\n".join(lines) + "\n")
    return tmp_path


def command(folder: Path) -> list[str]:
    """Runs the tree in ``folder``."""
    return [sys.executable, "-c", DRIVER, str(folder)]


def family(folder: Path, root: int) -> list[psutil.Process]:
    """Everything that runs, once it runs."""
    pids = [folder / "first.pids", folder / "second.pids"]
    assert wait_until(lambda: all(path.exists() for path in pids), seconds=PATIENCE)
    members = [psutil.Process(int(pid)) for path in pids for pid in path.read_text().split()]
    return [*members, *psutil.Process(root).children(recursive=True)]


def left(members: list[psutil.Process]) -> list[psutil.Process]:
    """Those that do not end."""
    _, alive = psutil.wait_procs(members, timeout=PATIENCE)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def root(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The running tree."""
    with subprocess.Popen(
        command(folder),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything(
    folder: Path, root: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    members = family(folder, root.pid)
    os.killpg(root.pid, number)  # a terminal signals its whole foreground group
    assert root.wait(timeout=PATIENCE) == 0
    assert left(members) == []


def test_an_interrupt_at_once_ends_everything(folder: Path) -> None:
    with subprocess.Popen([*command(folder), "hasty"], cwd=ROOT, start_new_session=True) as root:
        try:
            assert root.wait(timeout=PATIENCE) == 0
        finally:
            root.kill()
    told = {int(pid) for path in folder.glob("*.pids") for pid in path.read_text().split()}
    assert left([psutil.Process(pid) for pid in told if psutil.pid_exists(pid)]) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent was killed")
def test_a_killed_root_leaves_nothing(folder: Path, root: subprocess.Popen[bytes]) -> None:
    members = family(folder, root.pid)
    root.kill()
    assert left(members) == []


def test_a_process_that_ends_by_itself_is_started_again_and_the_others_stay(
    folder: Path, root: subprocess.Popen[bytes]
) -> None:
    first, orphan, *others = family(folder, root.pid)
    (folder / "first.pids").unlink()
    first.kill()
    again = {*family(folder, root.pid)}
    assert again >= {*others} - {first, orphan}
    assert left([first, orphan]) == [], "what it had started would hold its port"
    members = [*again]
    root.terminate()
    assert root.wait(timeout=PATIENCE) == 0
    assert left(members) == []


def test_what_ends_again_and_again_is_started_after_growing_pauses(folder: Path) -> None:
    (folder / "Procfile").write_text("only: sh -c 'echo begun; exit 3'\n")
    with subprocess.Popen(
        command(folder), cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as root:
        assert root.stdout is not None
        lines = [root.stdout.readline().partition("| ")[2].strip() for _ in range(6)]
        root.terminate()
    assert lines == [
        "begun",
        "ended by itself (status 3) and is started again at once",
        "begun",
        "ended by itself (status 3) and is started again in 1 s",
        "begun",
        "ended by itself (status 3) and is started again in 2 s",
    ]


def test_a_closed_terminal_ends_everything(folder: Path) -> None:
    ours, theirs = os.openpty()
    # Whoever leads a session and opens a terminal is controlled by it. No pty.fork: a fork of a process with
    # as many threads and libraries as this one now may crash it.
    control = "import os, sys; os.open(os.ttyname(0), os.O_RDWR); os.execv(sys.argv[1], sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", control, *command(folder)],
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as root:
        os.close(theirs)
        try:
            members = family(folder, root.pid)
            os.close(ours)
            root.wait(timeout=PATIENCE)
        finally:
            root.kill()
    assert left(members) == []
