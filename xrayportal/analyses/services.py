"""Requesting analyses and calling them off. What workers do with them is in ``queue``."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from xrayportal.analyses.bundles import active_bundle
from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.analyses.queue.announce import wake_workers_on_commit
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import PORTAL, Actor
from xrayportal.clinics.models import Clinic
from xrayportal.studies.models import Study


class UnknownBodyPartError(ValueError):
    """A forced body part that the bundle does not know; ``str(error)`` is a sentence for people."""


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
    the body part that the sender stated counts, if the bundle knows it. Raises `NoActiveBundleError`, and
    `UnknownBodyPartError` for a forced one that the bundle does not know.
    """
    analysis = _new_analysis(
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
        unfinished = _unfinished_like(analysis)
        if unfinished is not None and not unfinished.cancel_requested:
            return unfinished
        if unfinished is not None:
            # It still runs and was called off: requesting it again takes that back.
            analysis = unfinished
            analysis.cancel_requested = False
            analysis.save(update_fields=["cancel_requested"])
        else:
            analysis.save(force_insert=True)
            wake_workers_on_commit()
        record_request(analysis, actor)
    return analysis


def request_first_analysis(*, study: Study, actor: Actor, bundle: Bundle, queue: str) -> Analysis:
    """Queue the first analysis of a study that this transaction has just created, so that nothing is locked.

    The caller calls `record_request` once nothing is left to write.
    """
    analysis = _new_analysis(study=study, actor=actor, bundle=bundle, queue=queue)
    analysis.save(force_insert=True)
    wake_workers_on_commit()
    return analysis


def record_request(analysis: Analysis, actor: Actor) -> None:
    """Audit that a person, or the portal, asked for this analysis."""
    record(
        clinic=analysis.clinic,
        action=Action.ANALYSIS_REQUESTED,
        actor=actor,
        target=analysis,
        study=analysis.study,
        detail={
            "bundle": analysis.bundle.name,
            "purpose": str(analysis.purpose),
            "forced_body_part": analysis.forced_body_part,
        },
    )


def cancel_analysis(*, analysis: Analysis, actor: Actor) -> Analysis:
    """Call an analysis off: a waiting one ends now, a running one when its worker or its lease ends.

    An analysis that has finished, or was deleted with its study, is left as it is. Returns the analysis as
    it is now.
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
    """``low`` and ``high`` on the calibrated probability, and whether they are the clinic's own.

    The clinic's count where both are set and lie within the bundle's limits; else the bundle's.
    """
    thresholds = bundle.thresholds
    low, high = clinic.threshold_low, clinic.threshold_high
    if low is not None and high is not None:
        (low_min, low_max), (high_min, high_max) = thresholds["limits"]["low"], thresholds["limits"]["high"]
        if low_min <= low <= low_max and high_min <= high <= high_max:
            return low, high, True
    return thresholds["low"], thresholds["high"], False


def _new_analysis(
    *,
    study: Study,
    actor: Actor,
    bundle: Bundle,
    queue: str,
    purpose: str = Analysis.Purpose.PRIMARY,
    forced_body_part: str = "",
) -> Analysis:
    """An unsaved analysis with a snapshot of the thresholds."""
    if forced_body_part and forced_body_part not in bundle.body_parts:
        sentence = _("%(bundle)s does not know the body part “%(part)s”.")
        raise UnknownBodyPartError(sentence % {"part": forced_body_part, "bundle": bundle.name})
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


def _unfinished_like(analysis: Analysis) -> Analysis | None:
    """The row that the partial unique index would collide with; locked, so that it does not end meanwhile."""
    return (
        Analysis.objects.select_for_update(no_key=True)
        .filter(
            study=analysis.study,
            bundle=analysis.bundle,
            purpose=analysis.purpose,
            forced_body_part=analysis.forced_body_part,
            state__in=Analysis.UNFINISHED,
        )
        .first()
    )
