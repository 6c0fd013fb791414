"""``manage.py verify_audit``: recompute every audit chain and say where one is broken."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xrayportal.audit import services
from xrayportal.audit.models import AuditHead
from xrayportal.clinics.models import Clinic


class Command(BaseCommand):
    help = "Check the audit chains. Exit status 1 if one is broken."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--clinic", metavar="SLUG", help="one clinic's chain only")

    def handle(self, *args: Any, clinic: str | None = None, **options: Any) -> None:
        chains: list[Clinic | None]
        if clinic is None:
            chains = [None, *Clinic.objects.order_by("slug")]
        else:
            row = Clinic.objects.filter(slug=clinic).first()
            if row is None:
                raise CommandError(f"There is no clinic “{clinic}”.")
            chains = [row]
        broken = 0
        for chain in chains:
            name = chain.slug if chain else "platform"
            state = services.check(clinic=chain)
            if state.is_whole:
                head = AuditHead.objects.filter(clinic=chain).first()
                self.stdout.write(f"{name}: {state.length} events, intact, head {head.hash if head else '-'}")
            else:
                broken += 1
                place = f"broken at event {state.broken_at}, {state.reason}"
                self.stdout.write(f"{name}: {place}; {state.length} good before it")
        if broken:
            raise CommandError(f"{broken} of {len(chains)} audit chains broken.")
