"""``manage.py backup FILE``."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from xrayportal.operations.backup import BackupError, write_backup


class Command(BaseCommand):
    """Also while the portal runs."""

    help = "Write rows, files, audit anchors and keys into one file, as they are now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See ``--help``."""
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit status 1 with a sentence if it could not be written."""
        try:
            done = write_backup(options["file"])
        except BackupError as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{options['file']} could not be written: {error}.") from None
        size = f"{done.bytes / 2**20:,.0f} MiB"
        self.stdout.write(f"{options['file']}: {done.files:,} files ({size}) in {done.seconds:.0f} s.")
        if done.missing:
            self.stderr.write(
                f"Not in the file storage, although rows name them: {len(done.missing):,} files."
            )
        self.stdout.write("It holds keys and pictures of patients: keep it where nobody else can open it.")
