"""``manage.py dicom_node``: the process that receives DICOM images and sends results back."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Receive DICOM images for the clinics that listen, and send their results back, until stopped."""

    help = "Receive DICOM images and send results back (docs/dicom.md); waits where DICOM_PORT is not set."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the node until SIGTERM or Ctrl-C; without a port only wait, as a process of a Procfile must."""
        if not (settings.DICOM_PORT or settings.DICOM_TLS_PORT):
            self._wait()
            return
        # Only here: a process that waits does without the network's and the results' libraries.
        from xrayportal.dicom.node.process import Node

        node = Node()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: node.stop())
        node.run()

    def _wait(self) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        self.stdout.write("DICOM_PORT is not set: no DICOM node.")
        stop.wait()
