"""``manage.py reconcile [--once]``: the reconciler process."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from xrayportal.operations.reconciler import Reconciler
from xrayportal.webhooks.delivering import Deliverer


class Command(BaseCommand):
    help = "Puts right what was interrupted: lost workers, lost wake-ups, open studies, orphan files."
    #: The checks import every page; a mistake there must not keep the queue from being repaired.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round, then end")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        reconciler = Reconciler()
        if once:
            if not reconciler.round():
                raise CommandError("Nothing was done: another reconciler leads, or the database is away.")
            return
        # Beside the rounds: a receiver that is slow must not hold up the queue's repair.
        Deliverer().start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: reconciler.stop())
        reconciler.run()
