"""Sends files of a folder of this machine, which `xray_client.folders` finds."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from xray_client.folders import LocalFile
from xrayportal.clinics.actors import COMMAND_LINE
from xrayportal.intake.bulk.delivery import known_body_parts, take
from xrayportal.intake.bulk.labels import MAX_BYTES, as_json, parse_labels
from xrayportal.intake.bulk.rows import fitting
from xrayportal.intake.filenames import comparable_path
from xrayportal.intake.ingest import IncomingFile, reject
from xrayportal.intake.rejection import RejectedError, as_stored
from xrayportal.studies.models import Submission, Upload

logger = logging.getLogger(__name__)


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
