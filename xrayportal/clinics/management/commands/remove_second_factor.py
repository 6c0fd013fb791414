"""``manage.py remove_second_factor``: for a person who has lost their phone and their recovery codes."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xrayportal.clinics.actors import COMMAND_LINE
from xrayportal.clinics.models import User
from xrayportal.clinics.second_factor import remove


class Command(BaseCommand):
    help = "Take a person's second factor away, so that their password alone signs them in. Audited."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", metavar="E-MAIL", help="whose second factor")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email=options["email"].lower()).first()
        if user is None:
            raise CommandError(f"Nobody has the e-mail address {options['email']}.")
        if user.second_factor_since is None:
            raise CommandError(f"{user.email} has no second factor.")
        remove(user, actor=COMMAND_LINE)
        self.stdout.write(f"{user.email} signs in with the password alone now.")
