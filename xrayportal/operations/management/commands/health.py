"""``manage.py health``: what ``/statusz`` says, for health checks without a web server."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from xrayportal.operations import health


class Command(BaseCommand):
    """Exits with status 1 when a service does not work."""

    requires_system_checks = []  # they are for releases, this runs every few seconds
    help = "Say which services work; fails when one (of those named) does not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See ``--help``."""
        parser.add_argument("services", nargs="*", help="names as in /statusz; all of them by default")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the services that work. Raises CommandError with those that do not, or could not be asked."""
        services = health.status()
        names = options["services"] or list(services)
        missing = [name for name in names if name not in services or not services[name]["ok"]]
        if missing:
            raise CommandError(f"Not working: {', '.join(missing)}.")
        self.stdout.write(f"Working: {', '.join(names)}.")
