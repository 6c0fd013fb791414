"""``manage.py apply_retention``: delete studies that are older than their clinic keeps them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from xrayportal.intake.retention import apply_retention


class Command(BaseCommand):
    """The reconciler does the same once a day."""

    help = "Delete studies that are older than the retention of their clinic."

    def add_arguments(self, parser: CommandParser) -> None:
        """See ``--help``."""
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete, and say how many."""
        count = apply_retention(dry_run=options["dry_run"])
        self.stdout.write(f"{count} studies {'would be' if options['dry_run'] else 'were'} deleted.")
