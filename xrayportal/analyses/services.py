"""Asking for analyses and calling them off. What workers do with them is in ``queue``."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from inference_worker.manifest import BundleError
from xrayportal.analyses.announce import wake_workers_on_commit
from xrayportal.analyses.bundles import (
    NoActiveBundleError,
    activate_bundle,
    active_bundle,
    register_bundle,
)
from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.analyses.waiting import Waiting, waiting_position
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import PORTAL, Actor
from xrayportal.clinics.models import Clinic
from xrayportal.studies.models import Study

__all__ = [
    "BundleError",
    "NoActiveBundleError",
    "UnknownPartError",
    "Waiting",
    "activate_bundle",
    "active_bundle",
    "cancel_analysis",
    "record_request",
    "register_bundle",
    "request_analysis",
    "request_first_analysis",
    "waiting_position",
]


class UnknownPartError(ValueError):
    """A forced part that the bundle does not know; ``str(error)`` is a sentence for people."""


def request_analysis(
    *,
    study: Study,
    actor: Actor = PORTAL,
    purpose: str = Analysis.Purpose.PRIMARY,
    bundle: Bundle | None = None,
    forced_body_part: str = "",
    queue: str | None = None,
) -> Analysis:
    """Queue an analysis of the study, or return the unfinished one that asks for the same.

    Also the retry: what has ended stays as it ended, and a new analysis begins. Without ``forced_body_part``
    the part that the sender stated counts, if the bundle knows it. Raises `NoActiveBundleError`, and
    `UnknownPartError` for a forced part that the bundle does not know.
    """
    wanted = _wanted(
        study=study,
        actor=actor,
        purpose=purpose,
        bundle=bundle or active_bundle(),
        forced_body_part=forced_body_part,
        queue=queue or study.submission.queue,
    )
    with transaction.atomic():
        # Whoever changes which analyses a study has holds the study first; so two of us follow each other.
        Study.objects.select_for_update(no_key=True).get(pk=study.pk)
        unfinished = _unfinished_like(wanted)
        if unfinished is not None and not unfinished.cancel_requested:
            return unfinished
        if unfinished is not None:
            # It still runs, and somebody called it off: asking again takes that back.
            wanted = unfinished
            wanted.cancel_requested = False
            wanted.save(update_fields=["cancel_requested"])
        else:
            wanted.save(force_insert=True)
            wake_workers_on_commit()
        record_request(wanted, actor)
    return wanted


def request_first_analysis(*, study: Study, actor: Actor, queue: str) -> Analysis:
    """Queue the analysis of a study that this transaction has just created: nobody else can ask for one.

    `record_request` is the caller's to call, when nothing is left to write. Raises `NoActiveBundleError`
    before anything is written.
    """
    wanted = _wanted(study=study, actor=actor, bundle=active_bundle(), queue=queue)
    wanted.save(force_insert=True)
    wake_workers_on_commit()
    return wanted


def record_request(wanted: Analysis, actor: Actor) -> None:
    """Audit that somebody, or the portal, asked for this analysis."""
    record(
        clinic=wanted.clinic,
        action=Action.ANALYSIS_REQUESTED,
        actor=actor,
        target=wanted,
        study=wanted.study,
        detail={
            "bundle": wanted.bundle.name,
            "purpose": str(wanted.purpose),
            "forced_body_part": wanted.forced_body_part,
        },
    )


def cancel_analysis(*, analysis: Analysis, actor: Actor) -> Analysis:
    """Call it off: a waiting one ends now, a running one when its worker or its lease next ends.

    What has finished stays as it is, and what was deleted with its study. Returns the analysis as it is now.
    """
    with transaction.atomic():
        row = Analysis.objects.select_for_update(no_key=True).filter(pk=analysis.pk).first()
        if row is None:
            return analysis
        if row.is_finished or row.cancel_requested:
            return row
        if row.state == Analysis.State.QUEUED:
            kind = "while_waiting"
            row.state, row.finished_at = Analysis.State.CANCELLED, Now()
        else:
            kind = "asked_while_running"
        row.cancel_requested = True
        row.save(update_fields=["state", "finished_at", "cancel_requested"])
        record(
            clinic=row.clinic,
            action=Action.ANALYSIS_CANCELLED,
            actor=actor,
            target=row,
            study=row.study_id,
            detail={"kind": kind},
        )
    row.refresh_from_db(fields=["finished_at"])
    return row


def thresholds_for(clinic: Clinic, bundle: Bundle) -> tuple[float, float, bool]:
    """``low``, ``high`` and whether they are the clinic's own: set, and within the bundle's limits."""
    thresholds = bundle.thresholds
    low, high = clinic.threshold_low, clinic.threshold_high
    if low is not None and high is not None:
        (low_min, low_max), (high_min, high_max) = thresholds["limits"]["low"], thresholds["limits"]["high"]
        if low_min <= low <= low_max and high_min <= high <= high_max:
            return low, high, True
    return thresholds["low"], thresholds["high"], False


def _wanted(
    *,
    study: Study,
    actor: Actor,
    bundle: Bundle,
    queue: str,
    purpose: str = Analysis.Purpose.PRIMARY,
    forced_body_part: str = "",
) -> Analysis:
    if forced_body_part and forced_body_part not in bundle.body_parts:
        sentence = _("%(bundle)s does not know the body part “%(part)s”.")
        raise UnknownPartError(sentence % {"part": forced_body_part, "bundle": bundle.name})
    stated = study.stated_body_part if study.stated_body_part in bundle.body_parts else ""
    low, high, by_clinic = thresholds_for(study.clinic, bundle)
    return Analysis(
        clinic=study.clinic,
        study=study,
        bundle=bundle,
        purpose=purpose,
        forced_body_part=forced_body_part or stated,
        requested_by=actor.user,
        threshold_low=low,
        threshold_high=high,
        thresholds_by_clinic=by_clinic,
        queue=queue,
        priority=study.priority,
    )


def _unfinished_like(wanted: Analysis) -> Analysis | None:
    """The one that the partial unique index would collide with; held, so that it does not end meanwhile."""
    return (
        Analysis.objects.select_for_update(no_key=True)
        .filter(
            study=wanted.study,
            bundle=wanted.bundle,
            purpose=wanted.purpose,
            forced_body_part=wanted.forced_body_part,
            state__in=Analysis.UNFINISHED,
        )
        .first()
    )
