"""The node's process: opens its ports once a clinic listens, and sends results back."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import Error, close_old_connections
from django.db.models.functions import Now

from xrayportal.analyses.models import Heartbeat
from xrayportal.dicom.connection import run_tests
from xrayportal.dicom.models import Listener
from xrayportal.dicom.node import ROUND_SECONDS
from xrayportal.dicom.node.server import Receiver
from xrayportal.liveness import report_alive

if TYPE_CHECKING:
    from xrayportal.dicom.sending import Sender

logger = logging.getLogger(__name__)


class Node:
    """Does round after round until ``stop`` is called; associations and deliveries have their own threads."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._receivers: list[Receiver] = []
        self._sender = _sender()
        #: A lasting trouble is logged when it begins, not every round.
        self._trouble = ""

    def stop(self) -> None:
        """End after the present step; called from a signal handler."""
        self._stop.set()
        if self._sender is not None:
            self._sender.stop()

    def run(self) -> None:
        """Do rounds until ``stop`` is called, also while the database is away."""
        steps = {"dicom-tests": run_tests}
        if self._sender is not None:
            steps["dicom-send"] = self._sender.round
        beside = [
            threading.Thread(target=self._rounds, args=(step,), name=name) for name, step in steps.items()
        ]
        for thread in beside:
            thread.start()
        self._rounds(self.round)
        for receiver in self._receivers:
            receiver.stop()
        for thread in beside:
            thread.join()

    def round(self) -> None:
        """Tell that the node lives; open the ports for the first clinic, close them after the last."""
        report_alive()
        Heartbeat.objects.update_or_create(name=Heartbeat.DICOM_NODE, defaults={"last_seen": Now()})
        listens = Listener.objects.exists()
        if listens and not self._receivers:
            self._open()
        elif not listens and self._receivers:
            self._close()

    @property
    def ports(self) -> list[int]:
        """The ports that are open."""
        return [receiver.port for receiver in self._receivers]

    def _open(self) -> None:
        try:
            if settings.DICOM_PORT:
                self._receivers.append(Receiver(settings.DICOM_BIND, settings.DICOM_PORT))
            if settings.DICOM_TLS_PORT:
                context = tls_context()
                self._receivers.append(Receiver(settings.DICOM_BIND, settings.DICOM_TLS_PORT, context))
        except OSError as error:  # a taken port, a certificate that cannot be read
            self._close()
            self._tell(f"The DICOM ports cannot be opened: {error}")
        else:
            self._tell("")
            logger.info("Receiving DICOM at port %s", ", ".join(map(str, self.ports)))

    def _close(self) -> None:
        for receiver in self._receivers:
            receiver.stop()
        self._receivers.clear()

    def _rounds(self, step: Callable[[], object]) -> None:
        while not self._stop.is_set():
            try:
                close_old_connections()
                step()
            except Error as error:
                logger.warning("The DICOM node lost the database: %s", type(error).__name__)
            except Exception:
                logger.exception("A round of the DICOM node failed")
            self._stop.wait(ROUND_SECONDS)
        close_old_connections()

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            logger.warning("%s", trouble)
        self._trouble = trouble


def _sender() -> Sender | None:
    """What sends results back; None where the library that makes them is not installed."""
    if find_spec("highdicom") is None:
        logger.warning("highdicom is not installed (there is none for Python 3.14): no result is sent back.")
        return None
    from xrayportal.dicom.sending import Sender  # which needs it

    return Sender()


def tls_context() -> ssl.SSLContext:
    """The TLS of the receiving side, as the settings say. Raises OSError for a missing or wrong file."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.DICOM_TLS_CERTIFICATE, settings.DICOM_TLS_KEY or None)
    if settings.DICOM_TLS_CALLERS_CA:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(settings.DICOM_TLS_CALLERS_CA)
    return context
