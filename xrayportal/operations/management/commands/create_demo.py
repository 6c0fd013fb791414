"""``manage.py create_demo``."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from xrayportal.operations import demo


class Command(BaseCommand):
    """Two clinics, a user for each role, and sample radiographs."""

    help = "Make two demo clinics with a user for each role and submit sample radiographs; safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See ``--help``."""
        parser.add_argument("--samples", type=Path, help="submit the pictures of this folder as well")
        parser.add_argument(
            "--sample-limit", type=int, default=0, help="at most so many, spread over the folder (0: all)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Make what is missing."""
        demo.create_people(settings.VAR_DIR)
        demo.submit_samples(options["samples"], limit=options["sample_limit"])
        self.stdout.write(f"The demo logins are in {settings.VAR_DIR / demo.LOGINS}.")
