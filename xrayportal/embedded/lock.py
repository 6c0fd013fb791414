"""One portal for each ``VAR_DIR``."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from xrayportal.embedded.errors import StartProblem


class Lock:
    """Held until the process ends, however it ends.

    A POSIX lock belongs to the process: unlike ``flock``, a forked child that outlives us does not keep it.
    """

    def __init__(self, var: Path, *, address: str) -> None:
        path = var / "lock"
        self._file = path.open("a+")
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            raise StartProblem(
                f"A portal is already running with the data in {var} ({holder}). "
                "Stop that one first, or set VAR_DIR to another folder."
            ) from None
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()}, {address}")
        self._file.flush()

    def release(self) -> None:
        """Let another portal use the folder."""
        self._file.truncate(0)
        self._file.close()
