"""A sign of life that costs nothing to ask for: a file whose time is when its process last went round.

Container hosts ask every few seconds whether a worker or a reconciler lives. Starting Python for each answer
takes a second of processor time, which a busy machine does not have: the check then fails for processes that
work. ``docker/alive`` asks the file's time instead.
"""

from __future__ import annotations

import logging
from pathlib import Path

from django.conf import settings

logger = logging.getLogger(__name__)


def report_alive() -> None:
    """Set the time of ``HEARTBEAT_FILE`` to now; nothing where no such file is set.

    Call it where the process goes round, whether or not the database or Redis can be reached: a restart would
    not bring them back.
    """
    if settings.HEARTBEAT_FILE:
        try:
            Path(settings.HEARTBEAT_FILE).touch(mode=0o600)
        except OSError as error:
            logger.warning("The sign of life cannot be written: %s", error.strerror)
