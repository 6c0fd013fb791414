"""``manage.py seed_studies``: a clinic full of made-up studies, for measuring."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xrayportal.clinics.models import Clinic
from xrayportal.operations.seeding.seed import SeedRefusedError, seed_studies


class Command(BaseCommand):
    """Makes rows with a realistic spread over verdicts, body parts, states and time, and drawn pictures."""

    help = "Fill a clinic with made-up studies; refuses a clinic that holds real ones."

    def add_arguments(self, parser: CommandParser) -> None:
        """See ``--help``."""
        parser.add_argument("--clinic", required=True, metavar="SLUG")
        parser.add_argument("--studies", type=int, default=1000)
        parser.add_argument("--days", type=int, default=540, help="how far back they reach (%(default)s)")
        parser.add_argument("--waiting", type=int, default=0, help="so many wait for a worker (%(default)s)")
        parser.add_argument("--seed", type=int, default=1, help="another number, another spread")
        parser.add_argument("--force", action="store_true", help="also among real studies")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, then seed."""
        clinic = Clinic.objects.filter(slug=options["clinic"]).first()
        if clinic is None:
            raise CommandError(f"There is no clinic “{options['clinic']}”.")
        if options["studies"] < 1 or options["days"] < 1 or not 0 <= options["waiting"] <= options["studies"]:
            raise CommandError("Give at least one study and one day, and no more waiting than studies.")
        clock = time.monotonic()
        try:
            made = seed_studies(
                clinic=clinic,
                **{name: options[name] for name in ("studies", "days", "waiting", "seed", "force")},
            )
        except SeedRefusedError as error:
            raise CommandError(str(error)) from error
        seconds = time.monotonic() - clock
        self.stdout.write(f"Made {made.studies} studies, {made.rows} rows, in {seconds:.1f} s.")
