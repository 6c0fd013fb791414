"""Sending a folder of this machine: walked, remembered, and watched if asked."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xrayportal.clinics.actors import COMMAND_LINE
from xrayportal.intake.bulk.services import take
from xrayportal.intake.ingest import IncomingFile
from xrayportal.studies.models import Submission, Upload

logger = logging.getLogger(__name__)
#: A file is taken once its size and time have not changed for this long (it may still be copied).
SETTLED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the folder; ``path`` is relative, with the folder's own name first, as browsers say it."""

    file: Path
    path: str
    size: int
    changed: float


@dataclass(slots=True)
class Tally:
    """How many files had which outcome, and the sentences of those that were not taken."""

    outcomes: dict[str, int] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)

    def add(self, upload: Upload) -> None:
        """Count one."""
        self.outcomes[upload.outcome] = self.outcomes.get(upload.outcome, 0) + 1
        if upload.outcome == Upload.Outcome.REJECTED:
            self.sentences.append(upload.sentence)


def walk(folder: Path) -> Iterator[Found]:
    """Every ordinary file of ``folder`` (or it itself) by name, CSVs first; links are not followed."""
    if folder.is_file():
        yield _found(folder, folder.name)
        return
    files = [
        Path(parent) / name
        for parent, _folders, names in os.walk(folder)
        for name in names
        if not name.startswith(".")
    ]
    for file in sorted(files, key=lambda file: (file.suffix.lower() != ".csv", file)):
        if file.is_file() and not file.is_symlink():
            yield _found(file, f"{folder.resolve().name}/{file.relative_to(folder).as_posix()}")


def send(submission: Submission, found: Found, tally: Tally) -> None:
    """Take one file of the folder into the submission; its key is its path, so again is harmless."""
    key = hashlib.sha256(found.path.encode("utf-8", "surrogateescape")).hexdigest()
    incoming = IncomingFile(submission, key, found.path, COMMAND_LINE)
    with found.file.open("rb") as stream:
        for upload in take(incoming, stream):
            tally.add(upload)


def unchanging(folder: Path, sent: set[Found]) -> list[Found]:
    """Files that are new or changed since they were ``sent`` and no longer grow."""
    now = time.time()
    return [found for found in walk(folder) if found not in sent and now - found.changed >= SETTLED_SECONDS]


def _found(file: Path, path: str) -> Found:
    status = file.stat()
    return Found(file, path, status.st_size, status.st_mtime)
