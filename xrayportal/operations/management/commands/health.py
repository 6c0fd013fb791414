"""``manage.py health``: what ``/statusz`` says, for health checks without a web server."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from xrayportal.operations import health


class Command(BaseCommand):
    """Exit status 1 when a part does not work."""

    requires_system_checks = []  # they are for releases, this runs every few seconds
    help = "Say which parts work; fails when one (of those named) does not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See ``--help``."""
        parser.add_argument("parts", nargs="*", help="names as in /statusz; all of them by default")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask each part; one that could not be asked does not work."""
        parts = health.status()
        names = options["parts"] or list(parts)
        missing = [name for name in names if name not in parts or not parts[name]["ok"]]
        if missing:
            raise CommandError(f"Not working: {', '.join(missing)}.")
        self.stdout.write(f"Working: {', '.join(names)}.")
