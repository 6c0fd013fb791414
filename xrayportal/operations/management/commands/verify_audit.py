"""``manage.py verify_audit``: recompute every audit chain and say where one is broken."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xrayportal.audit import services
from xrayportal.audit.anchors import Anchor, read_anchors, stored_anchors
from xrayportal.audit.models import AuditHead
from xrayportal.clinics.models import Clinic


class Command(BaseCommand):
    help = "Check the audit chains, also against their anchors. Exit status 1 if one is broken."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--clinic", metavar="SLUG", help="one clinic's chain only")
        parser.add_argument(
            "--anchors",
            metavar="FILE",
            help="also against the anchors in this file, kept from a log or from mails (-: standard input)",
        )

    def handle(
        self, *args: Any, clinic: str | None = None, anchors: str | None = None, **options: Any
    ) -> None:
        chains: list[Clinic | None]
        if clinic is None:
            chains = [None, *Clinic.objects.order_by("slug")]
        else:
            row = Clinic.objects.filter(slug=clinic).first()
            if row is None:
                raise CommandError(f"There is no clinic “{clinic}”.")
            chains = [row]
        known = self._anchors(anchors)
        broken = 0
        for chain in chains:
            name = chain.slug if chain else "platform"
            state = services.check(clinic=chain, anchors=known)
            if state.is_whole:
                head = AuditHead.objects.filter(clinic=chain).first()
                confirmed = f", {state.anchors} anchors confirmed" if state.anchors else ""
                self.stdout.write(
                    f"{name}: {state.length} events, intact, head {head.hash if head else '-'}{confirmed}"
                )
            else:
                broken += 1
                place = f"broken at event {state.broken_at}, {state.reason}"
                self.stdout.write(f"{name}: {place}; {state.length} good before it")
        if clinic is None:
            there = {chain.pk for chain in chains if chain}
            gone = sorted({str(one.clinic) for one in known if one.clinic and one.clinic not in there})
            for pk in gone:
                self.stdout.write(f"{pk}: anchors name this clinic, which is gone with its whole chain")
            broken += len(gone)
            chains += [None] * len(gone)
        if broken:
            raise CommandError(f"{broken} of {len(chains)} audit chains broken.")

    def _anchors(self, file: str | None) -> list[Anchor]:
        """Those of the storage, and of the file. Raises CommandError where one of them cannot be read."""
        try:
            stored = stored_anchors()
        except Exception as error:  # each storage has its own errors
            raise CommandError(f"The stored anchors cannot be read: {type(error).__name__}.") from error
        if file is None:
            return stored
        try:
            text = sys.stdin.read() if file == "-" else Path(file).read_text(errors="replace")
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
        saved = list(read_anchors(text.splitlines()))
        if not saved:
            raise CommandError("There is no anchor in this file.")
        return [*stored, *saved]
