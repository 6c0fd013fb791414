"""Sends a folder of this machine: finds its files, and those that are new while it is watched."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xrayportal.clinics.actors import COMMAND_LINE
from xrayportal.intake.bulk.delivery import take
from xrayportal.intake.bulk.labels import is_labels
from xrayportal.intake.ingest import IncomingFile
from xrayportal.studies.models import Submission, Upload

logger = logging.getLogger(__name__)
#: A file is taken once its size and time have not changed for this long (it may still be copied).
SETTLED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of the folder; ``path`` is relative, with the folder's own name first, as browsers send it."""

    location: Path
    path: str
    size: int
    changed: float


@dataclass(slots=True)
class Tally:
    """Counts files by outcome and keeps the sentences of those that were not taken."""

    outcomes: dict[str, int] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)

    def add(self, upload: Upload) -> None:
        """Count one."""
        self.outcomes[upload.outcome] = self.outcomes.get(upload.outcome, 0) + 1
        if upload.outcome == Upload.Outcome.REJECTED:
            self.sentences.append(upload.sentence)


def walk(folder: Path) -> Iterator[LocalFile]:
    """Yield every ordinary file of ``folder`` (or the file itself) by name, CSVs first; follow no links."""
    if folder.is_file():
        yield _local_file(folder, folder.name)
        return
    files = [
        Path(parent) / name
        for parent, _folders, names in os.walk(folder)
        for name in names
        if not name.startswith(".")
    ]
    for file in sorted(files, key=lambda file: (not is_labels(file.name), file)):
        if file.is_file() and not file.is_symlink():
            yield _local_file(file, f"{folder.resolve().name}/{file.relative_to(folder).as_posix()}")


def send(submission: Submission, file: LocalFile, tally: Tally) -> None:
    """Take one file of the folder into the submission; its key is its path, so again is harmless."""
    key = hashlib.sha256(file.path.encode("utf-8", "surrogateescape")).hexdigest()
    incoming = IncomingFile(submission, key, file.path, COMMAND_LINE)
    with file.location.open("rb") as stream:
        for upload in take(incoming, stream):
            tally.add(upload)


def unchanging(folder: Path, sent: set[LocalFile]) -> list[LocalFile]:
    """List the files that are new or changed since they were ``sent`` and no longer grow."""
    now = time.time()
    return [file for file in walk(folder) if file not in sent and now - file.changed >= SETTLED_SECONDS]


def _local_file(file: Path, path: str) -> LocalFile:
    status = file.stat()
    return LocalFile(file, path, status.st_size, status.st_mtime)
