"""Runs the Procfile's processes: each that ends by itself is started again, and all end when we do.

The kernel ends the commands when we end, even by ``kill -9``. Servers are not among them: they start before
the migrations and end after everything that uses them.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TextIO

from xrayportal.embedded.backoff import Backoff
from xrayportal.embedded.processes import Records, ending_with_us

#: What asks the whole tree to end.
_REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_SECONDS = 0.1
#: Processes that were asked to end are killed after this long.
_KILL_SECONDS = 5.0
_LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+)$")
_COLOURS = (36, 33, 32, 35, 34, 31)


def parse_procfile(text: str) -> dict[str, str]:
    """Name and command of each process."""
    return {found[1]: found[2].strip() for line in text.splitlines() if (found := _LINE.match(line))}


class Output:
    """Standard output that survives the terminal: after it has closed, lines are dropped."""

    def __init__(self, stream: TextIO, width: int) -> None:
        self._stream = stream
        self._width = width
        self._has_colours = stream.isatty()
        self._lock = threading.Lock()
        self._is_closed = False

    def write(self, name: str, text: str, colour: int | None = None) -> None:
        """Print a line of a process, or about it."""
        prefix = f"{time.strftime('%H:%M:%S')} {name.ljust(self._width)} | "
        if colour is not None and self._has_colours:
            prefix = f"\033[{colour}m{prefix}\033[0m"
        with self._lock:
            if not self._is_closed:
                try:
                    self._stream.write(f"{prefix}{text}\n")
                    self._stream.flush()
                except OSError:
                    self._is_closed = True


class _Child:
    """One line of the Procfile."""

    def __init__(self, name: str, command: str, colour: int) -> None:
        self.name = name
        self.colour = colour
        self.backoff = Backoff()
        # The command replaces its shell, so that a signal reaches it.
        self._command = f"exec {command}"
        self.process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def start(self, *, env: Mapping[str, str], cwd: Path, output: Output) -> int:
        """Start the command and a thread that prints its lines; returns its number."""
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", self._command],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_prepared(),
        )
        self._reader = threading.Thread(target=self._print, args=(self.process.stdout, output), daemon=True)
        self._reader.start()
        self.backoff.started()
        return self.process.pid

    def has_ended(self) -> bool:
        """Whether it does not run (any more)."""
        return self.process is None or self.process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        """To the command and the processes that it has started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def finish_printing(self) -> None:
        """Wait for the last lines; not long, since a process that it left behind may hold the pipe."""
        if self._reader is not None:
            self._reader.join(timeout=1)

    def _print(self, lines: IO[bytes], output: Output) -> None:
        for line in lines:
            output.write(self.name, line.decode(errors="replace").rstrip("\r\n"), self.colour)


class Supervisor:
    """The Procfile's processes; ``loop`` returns when somebody has asked us to stop and all have ended.

    Meanwhile ``look_after`` is called again and again.
    """

    def __init__(
        self,
        procfile: Path,
        *,
        records: Records,
        env: Mapping[str, str],
        cwd: Path,
        look_after: Callable[[], object] = lambda: None,
    ) -> None:
        commands = parse_procfile(procfile.read_text())
        if not (env.get("DICOM_PORT") or env.get("DICOM_TLS_PORT")):
            commands.pop("dicom", None)  # it would only wait, and take memory
        self._children = [
            _Child(name, command, _COLOURS[number % len(_COLOURS)])
            for number, (name, command) in enumerate(commands.items())
        ]
        self._output = Output(sys.stdout, max(len(name) for name in commands))
        self._records = records
        self._env = env
        self._cwd = cwd
        self._look_after = look_after
        self._asked = False

    def loop(self) -> None:
        """Run until somebody asks us to stop: Ctrl-C, TERM, a closed terminal."""
        for number in _REQUESTS:
            signal.signal(number, self._ask)
        for child in self._children:
            if not self._asked:
                self._start(child)
        while not self._asked:
            for child in self._children:
                self._keep(child)
            self._look_after()
            time.sleep(_LOOK_SECONDS)
        self._end()

    def _ask(self, *_: object) -> None:
        self._asked = True

    def _start(self, child: _Child) -> None:
        # A command must not be born into a request that finds our handlers in it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)
        try:
            pid = child.start(env=self._env, cwd=self._cwd, output=self._output)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._records.add(child.name, pid)

    def _keep(self, child: _Child) -> None:
        """Start a process again that has ended, after its pause."""
        if child.backoff.is_due:
            self._start(child)
        elif child.has_ended() and not child.backoff.is_waiting:
            child.signal(signal.SIGKILL)  # what it has left behind would hold its port
            child.finish_printing()
            how = _how(child.process)
            pause = child.backoff.begin()
            when = f"in {pause:g} s" if pause else "at once"
            self._output.write(
                child.name, f"ended by itself ({how}) and is started again {when}", child.colour
            )

    def _end(self) -> None:
        """End every process: ask, wait, kill."""
        for child in self._children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + _KILL_SECONDS
        while time.monotonic() < deadline and not all(child.has_ended() for child in self._children):
            time.sleep(0.02)
        for child in self._children:
            if not child.has_ended():
                child.signal(signal.SIGKILL)
            if child.process is not None:
                child.process.wait()
            child.finish_printing()


def _prepared() -> Callable[[], None]:
    """A ``preexec_fn``: the command heeds requests to end, and ends with us."""
    bind = ending_with_us(signal.SIGTERM)

    def prepare() -> None:
        for number in _REQUESTS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _REQUESTS)
        bind()

    return prepare


def _how(process: subprocess.Popen[bytes] | None) -> str:
    status = 0 if process is None else process.returncode
    return f"signal {-status}" if status < 0 else f"status {status}"
