"""What gunicorn reads by itself beside its command in the Procfile: one set of metrics for all its processes.

prometheus_client keeps each process' values in files of a folder. It is made anew at every start, before the
portal is loaded, which looks for its name in the environment.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

_PREFIX = "xray-portal-metrics-"
_folder = Path(tempfile.gettempdir()) / f"{_PREFIX}{os.getpid()}"


def _remove_abandoned() -> None:
    """Remove the folders of portals that could not do it themselves."""
    for folder in _folder.parent.glob(f"{_PREFIX}*"):
        number = folder.name.removeprefix(_PREFIX)
        if not number.isdigit() or not Path(f"/proc/{number}").exists():
            shutil.rmtree(folder, ignore_errors=True)


if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    if Path("/proc/self").exists():
        _remove_abandoned()
    shutil.rmtree(_folder, ignore_errors=True)
    _folder.mkdir(mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_folder)


def child_exit(server: Any, worker: Any) -> None:
    """A process that ended has no present any more; its counts stay."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:
    """Remove the folder."""
    shutil.rmtree(_folder, ignore_errors=True)
