"""Sends results to a clinic's destinations, by C-STORE or STOW-RS."""

from __future__ import annotations

import logging
import threading
import uuid

from django.conf import settings
from django.utils import translation
from pydicom import Dataset

from xrayportal.dicom import deliveries
from xrayportal.dicom.identifiers import return_settings
from xrayportal.dicom.models import Delivery, Destination, StudyReturn
from xrayportal.dicom.networks import NotPermittedError
from xrayportal.dicom.results.capture import secondary_captures
from xrayportal.dicom.results.presentation import presentation_states
from xrayportal.dicom.results.report import structured_report
from xrayportal.dicom.results.views import NoIdentifiersError, result_of
from xrayportal.dicom.transport.c_store import c_store
from xrayportal.dicom.transport.errors import SendingError
from xrayportal.dicom.transport.stow import stow
from xrayportal.encryption import DecryptionError
from xrayportal.logs import log_context

logger = logging.getLogger(__name__)
trail = logging.getLogger("xrayportal.trail")


class Sender:
    """Makes deliveries of new results, and sends what is due."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def stop(self) -> None:
        """Send nothing further after the present delivery."""
        self._stop.set()

    def round(self) -> int:
        """Send everything that is due now; returns how many deliveries arrived.

        A destination that fails is left alone for the rest of the round: one that is away would otherwise
        hold up the others by its time-outs.
        """
        deliveries.pass_on()
        arrived, away = 0, set[uuid.UUID]()
        while not self._stop.is_set() and (delivery := deliveries.claim(without=away)) is not None:
            with log_context(study=delivery.study_id, delivery=delivery.pk):
                if send(delivery):
                    arrived += 1
                else:
                    away.add(delivery.destination_id)
        return arrived


def send(delivery: Delivery) -> bool:
    """Send one claimed delivery and note how it went; False only where its destination failed."""
    row = deliveries.sendable().filter(study=delivery.study_id).first()
    if row is None:
        return _explain(delivery)
    if (row.study.current_id, row.now_signed) != (delivery.analysis_id, delivery.signed_verdict):
        deliveries.withdraw(delivery)  # what replaces it is made in the next round
        return True
    try:
        objects = objects_of(delivery)
        transmit(delivery.destination, objects)
    except NoIdentifiersError:
        deliveries.fail(delivery, kind="identifiers-erased", permanent=True)
    except DecryptionError:
        deliveries.fail(delivery, kind="identifiers-unreadable", permanent=True)
    except NotPermittedError:
        deliveries.fail(delivery, kind="not-permitted")
        return False
    except SendingError as error:
        logger.warning("Delivery %s: %s %s", delivery.pk, error.kind, error.code)
        deliveries.fail(delivery, kind=error.kind, code=error.code)
        return False
    except Exception:
        logger.exception("Delivery %s failed", delivery.pk)
        deliveries.fail(delivery, kind="not-made")
    else:
        deliveries.complete(delivery, objects=len(objects))
        trail.info("Delivery %s has arrived", delivery.pk)
    return True


def objects_of(delivery: Delivery) -> list[Dataset]:
    """The DICOM objects of a delivery, of the kinds that the clinic chose.

    Raises `NoIdentifiersError`, `DecryptionError`, and OSError where a file cannot be read.
    """
    chosen = return_settings(delivery.clinic)
    result = result_of(delivery.analysis, delivery.signed_verdict)
    with translation.override(settings.LANGUAGE_CODE):
        objects = secondary_captures(result) if chosen.secondary_capture else []
        if chosen.structured_report:
            objects.append(structured_report(result))
        if chosen.presentation_state:
            objects += presentation_states(result)
    return objects


def transmit(destination: Destination, objects: list[Dataset]) -> None:
    """Send objects to a destination. Raises `SendingError`, `NotPermittedError`."""
    if destination.protocol == Destination.Protocol.STOW:
        stow(destination, objects)
    else:
        c_store(destination, objects)


def _explain(delivery: Delivery) -> bool:
    """Its result may not leave now: wait, or give up where it never will."""
    if StudyReturn.objects.filter(study=delivery.study_id).exists():
        deliveries.postpone(delivery)
    else:
        deliveries.fail(delivery, kind="identifiers-erased", permanent=True)
    return True
