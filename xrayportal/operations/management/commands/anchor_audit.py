"""``manage.py anchor_audit``: write the ends of the audit chains down now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from xrayportal.audit.anchors import current_anchors, write_anchors


class Command(BaseCommand):
    """What the reconciler does every ``AUDIT_ANCHOR_SECONDS``; the lines are printed as well."""

    help = "Write the ends of the audit chains to the anchors' storage, the log and the mail, and print them."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print first: where the storage fails, the lines are known all the same."""
        anchors = current_anchors()
        for anchor in anchors:
            self.stdout.write(str(anchor))
        write_anchors(anchors)
