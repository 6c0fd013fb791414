"""``manage.py submit``: send a folder, an archive or a picture of this machine."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from xrayportal.clinics.actors import COMMAND_LINE
from xrayportal.clinics.models import Clinic
from xrayportal.intake.bulk.folders import LocalFile, Tally, send, unchanging, walk
from xrayportal.intake.services import create_submission, finish_submission
from xrayportal.studies.models import Grouping, Queue, Submission

LOOK_EVERY_SECONDS = 2.0


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
        if not options["watch"]:
            self._submit(clinic, list(walk(path)), options)
            return
        sent: set[LocalFile] = set()
        try:
            while True:
                arrived = unchanging(path, sent)
                if arrived:
                    self._submit(clinic, arrived, options)
                    sent.update(arrived)
                time.sleep(LOOK_EVERY_SECONDS)
        except KeyboardInterrupt:
            self.stdout.write("Stopped watching.")

    def _submit(self, clinic: Clinic, files: list[LocalFile], options: dict[str, Any]) -> Submission:
        submission = create_submission(
            clinic=clinic,
            actor=COMMAND_LINE,
            source=Submission.Source.COMMAND,
            queue=options["queue"],
            grouping=options["grouping"],
            expected_files=len(files),
        )
        tally = Tally()
        for number, file in enumerate(files, start=1):
            send(submission, file, tally)
            if self.stderr.isatty():
                self.stderr.write(f"\r{number} of {len(files)} files", ending="")
        finish_submission(submission=submission, actor=COMMAND_LINE)
        if self.stderr.isatty():
            self.stderr.write("")
        for sentence in tally.sentences:
            self.stdout.write(sentence)
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.outcomes.items()))
        self.stdout.write(f"Submission {submission.pk}: {counts or 'no files'}.")
        return submission
