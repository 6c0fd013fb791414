"""``manage.py restore FILE``."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from xrayportal.operations.backup import BackupError, restore_backup


class Command(BaseCommand):
    """Runs as the database's owner; ``make restore`` does so on one machine."""

    help = "Restore what `backup` wrote into an empty portal, and verify the audit chains."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See ``--help``."""
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--secret-key-file",
            type=Path,
            metavar="FILE",
            help="where SECRET_KEY goes, for SECRET_KEY_FILE (default: VAR_DIR/portal.env)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit status 1 with a sentence if it could not be restored."""
        try:
            done = restore_backup(options["file"], secret_key_file=options["secret_key_file"])
        except BackupError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"Restored {done.files:,} files ({done.bytes / 2**20:,.0f} MiB) and all rows "
            f"in {done.seconds:.0f} s; {done.chains} audit chains are whole."
        )
        if options["secret_key_file"]:
            self.stdout.write(f"Start the portal with SECRET_KEY_FILE={options['secret_key_file'].resolve()}")
        if done.missing:
            self.stderr.write(f"Not in the backup, although rows name them: {len(done.missing):,} files.")
