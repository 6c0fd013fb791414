"""``manage.py submit``: send a folder, an archive or a picture of this machine."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error, InterfaceError, OperationalError, connection

from xray_client.folders import LocalFile, walk
from xray_client.watching import DestinationAway, SubmissionEnded, watch
from xrayportal.clinics.actors import COMMAND_LINE
from xrayportal.clinics.models import Clinic
from xrayportal.intake.bulk.folders import Tally, named_by, send
from xrayportal.intake.bulk.labels import is_labels
from xrayportal.intake.ingest import SubmissionClosedError
from xrayportal.intake.services import ClinicUndecidedError, create_submission, finish_submission
from xrayportal.studies.models import Grouping, Queue, Submission, Upload
from xrayportal.studies.storage import StorageUnavailableError

#: What a portal raises whose database or file storage is away for a while.
AWAY = (OperationalError, InterfaceError, StorageUnavailableError)


@dataclass(slots=True)
class _Batch:
    """A submission that is being sent, and what became of its files."""

    submission: Submission
    tally: Tally = field(default_factory=Tally)


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
                watch(path, _Destination(self, clinic, options))
            else:
                batch = self.open(clinic, options)
                self.send(batch, list(walk(path)))
                self.close(batch)
        except (ClinicUndecidedError, SubmissionClosedError) as error:
            raise CommandError(str(error)) from None
        except AWAY as error:
            raise CommandError(f"{_away(error)} Send the rest again: nothing is stored twice.") from None
        except KeyboardInterrupt:
            if not options["watch"]:
                raise
            self.stdout.write("Stopped watching.")

    def open(self, clinic: Clinic, options: dict[str, Any], continues: Submission | None = None) -> _Batch:
        submission = create_submission(
            clinic=clinic,
            actor=COMMAND_LINE,
            source=Submission.Source.COMMAND,
            queue=options["queue"],
            grouping=options["grouping"],
            expected_files=0,
            continues=continues,
        )
        return _Batch(submission)

    def send(self, batch: _Batch, files: list[LocalFile]) -> bool:
        """Send these; whether all could be read."""
        batch.submission.expected_files += len(files)
        batch.submission.save(update_fields=["expected_files"])
        all_read = True
        for number, file in enumerate(files, start=1):
            all_read &= send(batch.submission, file, batch.tally)
            if self.stderr.isatty():
                self.stderr.write(f"\r{number} of {len(files)} files", ending="")
        return all_read

    def close(self, batch: _Batch) -> None:
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


class _Destination:
    """A clinic of this portal, to which a watched folder goes."""

    def __init__(self, command: Command, clinic: Clinic, options: dict[str, Any]) -> None:
        self.command, self.clinic, self.options = command, clinic, options

    def open(self, first: _Batch | None) -> _Batch:
        with self._watched():
            return self.command.open(self.clinic, self.options, first.submission if first else None)

    def send(self, submission: _Batch, file: LocalFile) -> bool:
        with self._watched():
            return self.command.send(submission, [file])

    def close(self, submission: _Batch) -> None:
        with self._watched():
            self.command.close(submission)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Name the portal's errors as the watch knows them."""
        try:
            yield
        except SubmissionClosedError:
            raise SubmissionEnded from None
        except AWAY as error:
            self.command.stderr.write(f"{_away(error)} The rest is sent when it is back.")
            if isinstance(error, Error):
                connection.close()
            raise DestinationAway from None

    def to_send(self, arrived: list[LocalFile], sent: dict[str, LocalFile]) -> list[LocalFile]:
        return _with_named(arrived, sent)


def _with_named(arrived: list[LocalFile], sent: dict[str, LocalFile]) -> list[LocalFile]:
    """The files that came, with pictures from before that they name and CSVs that name them; CSVs first."""
    new = {file.path for file in arrived}
    earlier = [file for file in sent.values() if file.path not in new and os.access(file.location, os.R_OK)]
    files = set(arrived)
    for file in arrived:
        if is_labels(file.path):
            files.update(named_by(file, earlier))
    files.update(file for file in earlier if is_labels(file.path) and named_by(file, list(files)))
    return sorted(files, key=lambda file: (not is_labels(file.path), file.path))
