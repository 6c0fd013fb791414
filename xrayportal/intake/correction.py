"""Corrects what the sender stated about a study: its patient reference and its body part."""

from __future__ import annotations

from django.db import transaction

from xrayportal.analyses.services import request_analysis
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.studies.models import Study


def correct_study(*, study: Study, actor: Actor, patient_reference: str, stated_body_part: str) -> list[str]:
    """Store the corrected values; returns the names of the fields that changed.

    The audit keeps these names, and no values: a reference is the clinic's own. Another body part means
    another calibration, so a complete study is analysed again with it. Raises `NoActiveBundleError` where
    that is not possible; then nothing is changed.
    """
    with transaction.atomic():
        locked = Study.objects.select_for_update(no_key=True, of=("self",)).get(pk=study.pk)
        new = {"patient_reference": patient_reference, "stated_body_part": stated_body_part}
        changed = [name for name, value in new.items() if getattr(locked, name) != value]
        if not changed:
            return []
        for name in changed:
            setattr(locked, name, new[name])
        locked.save(update_fields=changed)
        # Before our own event: the request may wait for a row, and nobody may wait holding the head.
        if "stated_body_part" in changed and locked.is_sealed:
            request_analysis(study=locked, actor=actor)
        record(
            clinic=locked.clinic,
            action=Action.STUDY_CORRECTED,
            actor=actor,
            target=locked,
            study=locked,
            detail={"fields": changed},
        )
    return changed
