"""How an attempt ends by an error that happened in it."""

from __future__ import annotations

import logging

from inference_worker.celery_worker.errors import (
    CalledOffError,
    NoViewDecodedError,
    OutOfTimeError,
    where,
)
from inference_worker.celery_worker.files import StorageTroubleError
from inference_worker.manifest import BundleError
from xrayportal.analyses.models import Analysis
from xrayportal.analyses.queue import steps

logger = logging.getLogger(__name__)


def end_by(claim: Analysis, error: Exception) -> None:
    """End the claim's attempt by what happened in it: the analysis fails, or waits for the next attempt."""
    match error:
        case NoViewDecodedError():
            kind, sentence = error.views[0].kind, " ".join(view.sentence for view in error.views)
            logger.info("Analysis %s failed, no view could be decoded: %s", claim.pk, kind)
            steps.fail(claim=claim, kind=kind, sentence=sentence, permanent=True, unreadable=error.views)
        case CalledOffError():
            logger.info("Analysis %s was called off", claim.pk)
        case StorageTroubleError():
            logger.warning("Analysis %s waits for the file storage: %s", claim.pk, error)
            sentence = "The file storage could not be reached for a long time."
            steps.fail(claim=claim, kind="storage", sentence=sentence, permanent=False)
        case BundleError():
            logger.error("Analysis %s waits for its bundle: %s", claim.pk, error)
            sentence = f"The bundle {claim.bundle.name} could not be loaded by the worker."
            steps.fail(claim=claim, kind="bundle", sentence=sentence, permanent=False)
        case OutOfTimeError():
            logger.error("Analysis %s ran out of time", claim.pk)
            _ran_out(claim, "too_slow", "Analysing this study took too long.")
        case MemoryError():
            logger.error("Analysis %s ran out of memory", claim.pk)
            _ran_out(claim, "out_of_memory", "Analysing this study takes more memory than its worker has.")
        case _:
            logger.error("Analysis %s failed, attempt %d: %s", claim.pk, claim.attempt, where(error))
            sentence = f"Analysing this study failed {steps.CRASHES_ALONE} times for an unknown reason."
            steps.record_crash(claim=claim, kind="unexpected", sentence=sentence)


def _ran_out(claim: Analysis, kind: str, sentence: str) -> None:
    """End an attempt that lacked time or memory: for good if it ran alone, else it is tried alone."""
    if claim.claimed_alone:
        steps.fail(claim=claim, kind=kind, sentence=sentence, permanent=True)
    else:
        steps.record_crash(claim=claim, kind=kind, sentence=sentence)
