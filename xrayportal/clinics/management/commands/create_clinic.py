"""``manage.py create_clinic``: a clinic and, if wanted, its first admin."""

from __future__ import annotations

import secrets
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import transaction

from xrayportal.clinics import services
from xrayportal.clinics.actors import COMMAND_LINE
from xrayportal.clinics.models import Clinic, Role, User


class Command(BaseCommand):
    help = "Create a clinic and, with --admin, a person who is admin and reader there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="as people read it")
        parser.add_argument("--slug", required=True, help="as it stands in addresses")
        parser.add_argument("--time-zone", default="UTC", help="an IANA name, e.g. Europe/Berlin")
        parser.add_argument(
            "--blind-reading",
            choices=["yes", "no"],
            help="whether readers give their verdict before they see the prediction; otherwise "
            "an admin of the clinic decides before its first study",
        )
        parser.add_argument("--admin", metavar="E-MAIL", help="the first admin; made if unknown")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        name, slug, time_zone = options["name"], options["slug"], options["time_zone"]
        admin: str | None = options["admin"]
        try:
            if admin is not None:
                validate_email(admin)
                if User.objects.filter(email=admin.lower(), is_superuser=True).exists():
                    raise CommandError(f"{admin} is a superuser, who has no role in a clinic. Name another.")
            clinic = services.create_clinic(
                name=name,
                slug=slug,
                time_zone=time_zone,
                blind_first={"yes": True, "no": False}.get(options["blind_reading"]),
                actor=COMMAND_LINE,
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(f"Clinic {clinic.name} is at /c/{clinic.slug}/.")
        if admin is not None:
            self._add_admin(clinic, admin.lower())

    def _add_admin(self, clinic: Clinic, email: str) -> None:
        user = User.objects.filter(email=email).first()
        if user is None:
            password = secrets.token_urlsafe(12)
            user = User.objects.create_user(email, password)
            self.stdout.write(f"{email} signs in with {password} (shown this once).")
        for role in (Role.ADMIN, Role.READER):
            services.add_member(clinic=clinic, user=user, role=role, actor=COMMAND_LINE)
        self.stdout.write(f"{email} is admin and reader of {clinic.name}.")
