"""``manage.py prepare``: everything between an empty database and the first page."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from xrayportal.analyses.models import Bundle
from xrayportal.analyses.services import register_bundle
from xrayportal.operations import demo


class Command(BaseCommand):
    """Run before web, worker and reconciler start, after every update."""

    help = "Migrate, and register the bundles of BUNDLES_DIR; the newest is activated if none is active."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See ``--help``."""
        parser.add_argument("--static", action="store_true", help="collect the static files as well")
        parser.add_argument("--demo", action="store_true", help="see create_demo")
        parser.add_argument("--samples", type=Path, help="see create_demo")
        parser.add_argument("--sample-limit", type=int, default=0, help="see create_demo")

    def handle(self, *args: Any, **options: Any) -> None:
        """In the order in which one step needs the other."""
        call_command("migrate", interactive=False, verbosity=0)
        if options["static"]:
            call_command("collectstatic", interactive=False, verbosity=0)
        self._register()
        if options["demo"]:
            demo.create_people(settings.VAR_DIR)
            demo.submit_samples(options["samples"], limit=options["sample_limit"])

    def _register(self) -> None:
        known = set(Bundle.objects.values_list("folder", flat=True))
        for folder in sorted(path.parent for path in settings.BUNDLES_DIR.glob("*/manifest.json")):
            if folder.name not in known:
                bundle = register_bundle(folder=folder.name, activate=False, actor=None)
                self.stdout.write(f"Registered the bundle {bundle}.")
        newest = Bundle.objects.order_by("-manifest__released", "-pk").first()
        if newest is None:
            self.stderr.write(f"No bundle lies in {settings.BUNDLES_DIR}: studies will wait for one.")
        elif not Bundle.objects.filter(is_active=True).exists():
            register_bundle(folder=newest.folder, activate=True, actor=None)
