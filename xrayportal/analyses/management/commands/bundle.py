"""``manage.py bundle list|register|activate``: the bundles that this portal knows."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from inference_worker.manifest import BundleError
from xrayportal.analyses.bundles import activate_bundle, register_bundle
from xrayportal.analyses.models import Bundle


class Command(BaseCommand):
    help = "Lists the bundles, makes one known, or lets new analyses use one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="all that are known; the active one is marked")
        register = actions.add_parser("register", help="verify a folder under BUNDLES_DIR and make it known")
        register.add_argument("folder")
        register.add_argument("--activate", action="store_true", help="and let new analyses use it")
        activate = actions.add_parser("activate", help="let new analyses use a known bundle")
        activate.add_argument("name", help="name@version, as “list” shows it")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        if action == "list":
            self._list()
        elif action == "register":
            self._register(options["folder"], activate=options["activate"])
        else:
            self._activate(options["name"])

    def _list(self) -> None:
        for bundle in Bundle.objects.order_by("registered_at"):
            mark = "*" if bundle.is_active else " "
            self.stdout.write(f"{mark} {bundle.name}  {bundle.folder}  {bundle.manifest_sha256[:12]}")

    def _register(self, folder: str, *, activate: bool) -> None:
        try:
            bundle = register_bundle(folder=folder, activate=activate, actor=None)
        except BundleError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{bundle.name} is {'active' if bundle.is_active else 'registered'}")

    def _activate(self, name: str) -> None:
        bundle = Bundle.objects.filter(name=name).first()
        if bundle is None:
            raise CommandError(f"No bundle is called “{name}”; “manage.py bundle list” shows those known.")
        activate_bundle(bundle=bundle, actor=None)
        self.stdout.write(f"{bundle.name} is active")
