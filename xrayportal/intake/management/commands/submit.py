"""``manage.py submit``: send a folder, an archive or a picture of this machine."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error, InterfaceError, OperationalError, connection

from xrayportal.clinics.actors import COMMAND_LINE
from xrayportal.clinics.models import Clinic
from xrayportal.intake.bulk.folders import LocalFile, Tally, named_by, send, unchanging, walk
from xrayportal.intake.bulk.labels import is_labels
from xrayportal.intake.ingest import SubmissionClosedError
from xrayportal.intake.services import create_submission, finish_submission
from xrayportal.studies.models import Grouping, Queue, Submission, Upload
from xrayportal.studies.storage import StorageUnavailableError

LOOK_EVERY_SECONDS = 2.0
#: What a portal raises whose database or file storage is away for a while.
AWAY = (OperationalError, InterfaceError, StorageUnavailableError)
#: What arrives with shorter pauses is one submission, so that a CSV finds its pictures and a view its study.
QUIET_SECONDS = 30.0
#: But none is open for longer: studies of several views wait for its end.
LONGEST_SECONDS = 600.0


@dataclass(slots=True)
class _Batch:
    """A submission that is being sent: ``paths`` that went into it; monotonic times of the clock."""

    submission: Submission
    opened: float
    news: float
    tally: Tally = field(default_factory=Tally)
    paths: set[str] = field(default_factory=set)

    def is_over(self, arrived: Collection[LocalFile], now: float) -> bool:
        """Nothing came for a while, or a file came again that has changed: one submission takes it once."""
        is_quiet = not arrived and now - self.news >= QUIET_SECONDS
        is_again = any(file.path in self.paths for file in arrived)
        return is_quiet or is_again or now - self.opened >= LONGEST_SECONDS


class Command(BaseCommand):
    """Sends a folder, a ZIP archive or a picture, as a person would in the browser."""

    help = "Submit a folder, an archive or a picture to a clinic; --watch goes on as files arrive."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See ``--help``."""
        parser.add_argument("path", type=Path)
        parser.add_argument("--clinic", required=True, help="the clinic's short name in addresses")
        parser.add_argument("--grouping", choices=Grouping.values, default=Grouping.FOLDERS)
        parser.add_argument("--queue", choices=Queue.values, default=Queue.BULK)
        parser.add_argument(
            "--watch", action="store_true", help="go on and submit what arrives, until Ctrl-C"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit status 1 if there is no such folder or clinic, 0 otherwise; refused files are listed."""
        path: Path = options["path"]
        if not path.exists():
            raise CommandError(f"There is no {path}. Give a folder, an archive or a picture.")
        clinic = Clinic.objects.filter(slug=options["clinic"]).first()
        if clinic is None:
            known = ", ".join(Clinic.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no clinic “{options['clinic']}”. Clinics: {known}.")
        try:
            if options["watch"]:
                self._watch(clinic, path, options)
            else:
                batch = self._open(clinic, options)
                self._send(batch, list(walk(path)))
                self._close(batch)
        except SubmissionClosedError as error:
            raise CommandError(str(error)) from None
        except AWAY as error:
            raise CommandError(f"{_away(error)} Send the rest again: nothing is stored twice.") from None

    def _watch(self, clinic: Clinic, path: Path, options: dict[str, Any]) -> None:
        """Until Ctrl-C. Each submission continues the first one: a folder stays one study."""
        sent: dict[str, LocalFile] = {}
        unreadable: set[LocalFile] = set()
        batch: _Batch | None = None
        first: Submission | None = None
        try:
            while True:
                known = {
                    *sent.values(),
                    *(file for file in unreadable if not os.access(file.location, os.R_OK)),
                }
                arrived = unchanging(path, known)
                try:
                    if batch is not None and batch.is_over(arrived, time.monotonic()):
                        self._close(batch)
                        batch = None
                    if arrived:
                        batch = batch or self._open(clinic, options, first)
                        first = first or batch.submission
                        for file in _with_named(arrived, sent):
                            if file.path in batch.paths:
                                continue
                            if self._send(batch, [file]) or _may_be_read(file):
                                sent[file.path] = file
                            else:
                                unreadable.add(file)  # until it is back
                except SubmissionClosedError:
                    batch = None  # somebody ended it: what is left goes into a new one
                except AWAY as error:
                    self.stderr.write(f"{_away(error)} The rest is sent when it is back.")
                    if isinstance(error, Error):
                        connection.close()
                    batch = None  # the reconciler ends it; what is left goes into a new one
                time.sleep(LOOK_EVERY_SECONDS)
        except KeyboardInterrupt:
            self.stdout.write("Stopped watching.")
        if batch is not None:
            self._close(batch)

    def _open(self, clinic: Clinic, options: dict[str, Any], continues: Submission | None = None) -> _Batch:
        submission = create_submission(
            clinic=clinic,
            actor=COMMAND_LINE,
            source=Submission.Source.COMMAND,
            queue=options["queue"],
            grouping=options["grouping"],
            expected_files=0,
            continues=continues,
        )
        now = time.monotonic()
        return _Batch(submission, opened=now, news=now)

    def _send(self, batch: _Batch, files: list[LocalFile]) -> bool:
        """Send these; whether all could be read."""
        batch.submission.expected_files += len(files)
        batch.submission.save(update_fields=["expected_files"])
        all_read = True
        for number, file in enumerate(files, start=1):
            batch.paths.add(file.path)
            all_read &= send(batch.submission, file, batch.tally)
            if self.stderr.isatty():
                self.stderr.write(f"\r{number} of {len(files)} files", ending="")
        batch.news = time.monotonic()
        return all_read

    def _close(self, batch: _Batch) -> None:
        submission = batch.submission
        finish_submission(submission=submission, actor=COMMAND_LINE)
        if self.stderr.isatty():
            self.stderr.write("")
        for sentence in batch.tally.sentences:
            self.stdout.write(sentence)
        for upload in submission.uploads.filter(outcome=Upload.Outcome.APPLIED):
            if is_labels(upload.filename):
                self.stdout.write(f"{upload.filename}: {upload.sentence}")
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(batch.tally.outcomes.items()))
        self.stdout.write(f"Submission {submission.pk}: {counts or 'no files'}.")


def _away(error: Exception) -> str:
    return f"The {'database' if isinstance(error, Error) else 'file storage'} does not answer."


def _may_be_read(file: LocalFile) -> bool:
    return os.access(file.location, os.R_OK)


def _with_named(arrived: list[LocalFile], sent: dict[str, LocalFile]) -> list[LocalFile]:
    """The files that came, with pictures from before that they name and CSVs that name them; CSVs first."""
    new = {file.path for file in arrived}
    earlier = [file for file in sent.values() if file.path not in new and _may_be_read(file)]
    files = set(arrived)
    for file in arrived:
        if is_labels(file.path):
            files.update(named_by(file, earlier))
    files.update(file for file in earlier if is_labels(file.path) and named_by(file, list(files)))
    return sorted(files, key=lambda file: (not is_labels(file.path), file.path))
