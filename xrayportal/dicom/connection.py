"""Tests of a destination's connection: an admin asks on the page, the node tries, the page tells.

The node does it because results leave from there: an archive knows its callers by their address.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from django.db.models.functions import Now
from django.utils import timezone

from xrayportal.dicom.models import Destination
from xrayportal.dicom.networks import NotPermittedError
from xrayportal.dicom.transport import c_store, stow
from xrayportal.dicom.transport.errors import SendingError

logger = logging.getLogger(__name__)

_AT_ONCE = 4


def run_tests() -> int:
    """Do the tests that were asked for, a few at a time; returns how many there were."""
    young = timezone.now() - Destination.TEST_PATIENCE
    asked = Destination.objects.filter(test_asked_at__gt=young, tested_at__isnull=True)
    rows = list(asked.select_related("clinic"))
    if not rows:
        return 0
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="dicom-test") as pool:
        outcomes = list(pool.map(outcome_of, rows))
    for row, (outcome, code) in zip(rows, outcomes, strict=True):
        same = Destination.objects.filter(pk=row.pk, test_asked_at=row.test_asked_at)
        same.update(tested_at=Now(), test_outcome=outcome, test_code=code[:40])
    return len(rows)


def outcome_of(destination: Destination) -> tuple[str, str]:
    """Try the connection within seconds: what came of it, and the other side's status, if it gave one."""
    try:
        if destination.protocol == Destination.Protocol.STOW:
            return Destination.ANSWERS, stow.ask(destination)
        c_store.c_echo(destination)
    except NotPermittedError:
        return "not-permitted", ""
    except SendingError as error:
        return error.kind, error.code
    except Exception:
        logger.exception("The connection to destination %s could not be tested", destination.pk)
        return "not-made", ""
    return Destination.ACCEPTED, ""
