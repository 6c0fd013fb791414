"""The files of a folder of this machine, and those that are new while it is watched."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

#: A file is taken once its size and time have not changed for this long (it may still be copied).
SETTLED_SECONDS = 2.0
#: CSVs go first: they tell of the pictures beside them.
LABELS_SUFFIX = ".csv"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of the folder; ``path`` is relative, with the folder's own name first, as browsers send it."""

    location: Path
    path: str
    size: int
    changed: float


def walk(folder: Path) -> Iterator[LocalFile]:
    """Yield every ordinary file of ``folder`` (or the file itself) by name, CSVs first; follow no links.

    What goes away meanwhile is left out; a folder that may not be read is yielded as if it were a file,
    so that sending it names it.
    """
    if folder.is_file():
        yield from _local_file(folder.resolve(), folder.name)
        return
    root = folder.resolve().name
    closed: list[Path] = []

    def note(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            closed.append(Path(error.filename))

    files = [
        Path(parent) / name
        for parent, _folders, names in os.walk(folder, onerror=note)
        for name in names
        if not name.startswith(".")
    ]
    for file in sorted(files, key=lambda file: (file.suffix.lower() != LABELS_SUFFIX, file)):
        yield from _local_file(file, f"{root}/{file.relative_to(folder).as_posix()}")
    for place in closed:
        yield LocalFile(place, f"{root}/{place.relative_to(folder).as_posix()}", 0, 0)


def unchanging(folder: Path, sent: Collection[LocalFile]) -> list[LocalFile]:
    """List the files that are new or changed since they were ``sent`` and no longer grow."""
    now = time.time()
    return [file for file in walk(folder) if file not in sent and now - file.changed >= SETTLED_SECONDS]


def _local_file(file: Path, path: str) -> Iterator[LocalFile]:
    try:
        status = file.lstat()
    except FileNotFoundError:
        return
    except OSError:
        yield LocalFile(file, path, 0, 0)  # sending it tells why
        return
    if stat.S_ISREG(status.st_mode):
        yield LocalFile(file, path, status.st_size, status.st_mtime)
