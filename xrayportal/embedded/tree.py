"""The Procfile's processes under honcho, bound to us: when we end, however we end, they end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from honcho.environ import parse_procfile
from honcho.manager import SIGNALS, SYSTEM_PRINTER_NAME, Manager
from honcho.printer import Printer
from honcho.process import Popen, Process

from xrayportal.embedded.errors import StartProblem
from xrayportal.embedded.processes import Records, end_with_parent, ending_with_us

#: What asks the whole tree to end.
_REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class BoundProcess(Process):
    """A line of the Procfile. honcho forks a reader for each, which starts the command through a shell.

    The kernel ends the reader when we end, and the command when its reader ends. The reader takes no
    request to end: it is there for the command's last lines.
    """

    def __init__(self, *arguments: Any, records: Records, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._records = records
        self._starter = os.getpid()

    def run(self, *arguments: Any, **options: Any) -> None:
        """In the reader, which was forked with its parent's handlers, and with requests held back."""
        for number in _REQUESTS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _REQUESTS)
        end_with_parent(self._starter, signal.SIGKILL)
        bind = ending_with_us(signal.SIGTERM)

        def prepare() -> None:
            # What is ignored stays ignored in the command; these two it must be able to heed.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            bind()

        self._child_ctor = partial(Popen, preexec_fn=prepare)
        super().run(*arguments, **options)

    def _send_message(self, data: Any, type: str = "line") -> None:
        if type == "start":
            self._records.add(self.name, data["pid"])
        super()._send_message(data, type)


class Output:
    """Standard output that survives the terminal: after it has closed, lines are dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._closed = False

    def write(self, text: str) -> int:
        """As of a text stream."""
        if not self._closed:
            try:
                return self._stream.write(text)
            except OSError:
                self._closed = True
        return len(text)

    def flush(self) -> None:
        """As of a text stream."""
        if not self._closed:
            try:
                self._stream.flush()
            except OSError:
                self._closed = True

    def isatty(self) -> bool:
        """Colours are for terminals."""
        return self._stream.isatty()


class QuietPrinter(Printer):
    """honcho's printer without its lines about what it is about to do."""

    def write(self, message: Any) -> None:
        """Print a line of one of the processes, or that one has ended."""
        if message.name != SYSTEM_PRINTER_NAME or "stopped" in message.data:
            super().write(message)


class Tree(Manager):
    """The Procfile's processes; ``loop`` returns when all have ended, with the reason in ``returncode``.

    Meanwhile ``look_after`` is called again and again; where it raises ``StartProblem``, that is kept in
    ``problem``, and everything ends.
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
        super().__init__(QuietPrinter(Output(sys.stdout)))
        self._process_ctor = partial(BoundProcess, records=records)
        for name, command in parse_procfile(procfile.read_text()).processes.items():
            if name == "dicom" and not (env.get("DICOM_PORT") or env.get("DICOM_TLS_PORT")):
                continue  # it would only wait, and take memory
            # The command replaces its shell, so that a signal reaches it.
            self.add_process(name, f"exec {command}", env=dict(env), cwd=str(cwd))
        self._is_ending = False
        self._look_after = look_after
        self.problem: StartProblem | None = None

    def loop(self) -> None:
        """Run until a process ends by itself or somebody asks us to stop: Ctrl-C, TERM, a closed terminal."""
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        super().loop()

    def terminate(self) -> None:
        """End every process; those that have not yet told their number, once all have."""
        self._is_ending = True
        self._all_started()

    def _all_started(self) -> bool:
        """honcho asks this in every round."""
        if not self._is_ending:
            try:
                self._look_after()
            except StartProblem as problem:
                self.problem = problem
                self._is_ending = True
        started = bool(super()._all_started())
        if started and self._is_ending:
            super().terminate()  # the second time it does nothing
        return started

    def _start(self) -> None:
        # A reader must not meet a request with our handlers, which are for the whole tree.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)
        try:
            super()._start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def asked_to_stop(self) -> bool:
        """After ``loop``: somebody asked, no process ended by itself."""
        return self.returncode in {entry["rc"] for entry in SIGNALS.values()}
