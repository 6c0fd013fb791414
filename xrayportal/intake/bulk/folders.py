"""Sends a folder of this machine: finds its files, and those that are new while it is watched."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from xrayportal.clinics.actors import COMMAND_LINE
from xrayportal.intake.bulk.delivery import known_body_parts, take
from xrayportal.intake.bulk.labels import MAX_BYTES, as_json, is_labels, parse_labels
from xrayportal.intake.bulk.rows import fitting
from xrayportal.intake.filenames import comparable_path
from xrayportal.intake.ingest import IncomingFile, reject
from xrayportal.intake.rejection import RejectedError, as_stored
from xrayportal.studies.models import Submission, Upload

logger = logging.getLogger(__name__)
#: A file is taken once its size and time have not changed for this long (it may still be copied).
SETTLED_SECONDS = 2.0


class UnreadableError(Exception):
    """A file of the folder that is gone, may not be read, or lies on a disk that fails."""

    def __init__(self, error: OSError) -> None:
        super().__init__(type(error).__name__)
        self.error = error

    @property
    def refusal(self) -> RejectedError:
        """As it is told to people."""
        match self.error:
            case FileNotFoundError() | NotADirectoryError() | IsADirectoryError():
                reason, advice = _("it is no longer there"), _("Send it again once it is back.")
            case PermissionError():
                reason = _("this account may not read it")
                advice = _("Allow the account that runs the command to read it.")
            case _other:
                reason, advice = _("its disk cannot be read"), _("Check the disk, then send it again.")
        return RejectedError("unreadable", reason, advice)


class _Source(io.FileIO):
    """A file whose errors are told from those of the portal's own disks."""

    def readinto(self, buffer: Any, /) -> int | None:
        """As of a raw stream; raises `UnreadableError`."""
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise UnreadableError(error) from error

    def readall(self) -> bytes:
        """As of a raw stream; raises `UnreadableError`."""
        try:
            return super().readall()
        except OSError as error:
            raise UnreadableError(error) from error


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
    for file in sorted(files, key=lambda file: (not is_labels(file.name), file)):
        yield from _local_file(file, f"{root}/{file.relative_to(folder).as_posix()}")
    for place in closed:
        yield LocalFile(place, f"{root}/{place.relative_to(folder).as_posix()}", 0, 0)


def send(submission: Submission, file: LocalFile, tally: Tally) -> bool:
    """Take one file of the folder into the submission; its key is its path, so again is harmless.

    One that cannot be read any more is an outcome like others; returns whether it could be. Raises
    ``SubmissionClosedError``, and OSError of the portal's own storage.
    """
    key = hashlib.sha256(file.path.encode("utf-8", "surrogateescape")).hexdigest()
    incoming = IncomingFile(submission, key, file.path, COMMAND_LINE, size=file.size)
    try:
        with _open(file.location) as stream:
            for upload in take(incoming, stream):
                tally.add(upload)
    except UnreadableError as error:
        with as_stored():
            tally.add(reject(incoming, error.refusal))
        return False
    return True


def unchanging(folder: Path, sent: Collection[LocalFile]) -> list[LocalFile]:
    """List the files that are new or changed since they were ``sent`` and no longer grow."""
    now = time.time()
    return [file for file in walk(folder) if file not in sent and now - file.changed >= SETTLED_SECONDS]


def named_by(labels: LocalFile, files: Collection[LocalFile]) -> list[LocalFile]:
    """Those of the files that a row of this CSV may be about; none for a CSV that cannot be used."""
    try:
        with _open(labels.location) as stream:
            rows = parse_labels(stream.read(MAX_BYTES + 1), known_body_parts())
    except (UnreadableError, RejectedError):
        return []  # sending it tells why
    names = as_json(rows, labels.path, "")
    return [file for file in files if file != labels and fitting(comparable_path(file.path), names)]


def _open(path: Path) -> io.BufferedReader:
    try:
        return io.BufferedReader(_Source(path, "rb"))
    except OSError as error:
        raise UnreadableError(error) from error


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
