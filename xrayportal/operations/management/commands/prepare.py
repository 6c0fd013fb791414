"""``manage.py prepare``: everything between an empty database and the first page."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from xrayportal.analyses.bundles import register_all
from xrayportal.operations import demo


class Command(BaseCommand):
    """Runs after every update, before web, worker and reconciler start."""

    help = "Migrate, register the bundles of BUNDLES_DIR, and see that one that lies there is active."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See ``--help``."""
        parser.add_argument("--static", action="store_true", help="collect the static files as well")
        parser.add_argument("--demo", action="store_true", help="see create_demo")
        parser.add_argument("--samples", type=Path, help="see create_demo")
        parser.add_argument("--sample-limit", type=int, default=0, help="see create_demo")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the steps, each of which needs the one before it."""
        call_command("migrate", interactive=False, verbosity=0)
        if options["static"]:
            call_command("collectstatic", interactive=False, verbosity=0)
        for sentence in register_all():
            self.stdout.write(sentence)
        if options["demo"]:
            demo.create_people(settings.VAR_DIR)
            sent = demo.submit_samples(options["samples"], limit=options["sample_limit"])
            if sent:
                self.stdout.write(f"Submitted {sent} sample X-rays.")
