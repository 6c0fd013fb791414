"""Deletes a study: its rows in one transaction, then files that nothing else names (docs/operations.md)."""

from __future__ import annotations

import functools
import logging
import uuid
from collections.abc import Iterable
from datetime import timedelta
from pathlib import PurePosixPath

from django.core.files.storage import default_storage
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from xrayportal.access import ClinicAccess, Permission
from xrayportal.analyses.models import Finding
from xrayportal.analyses.services import cancel_analysis
from xrayportal.audit.models import Action, AuditEvent
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic, User
from xrayportal.studies.locks import name_lock, removal
from xrayportal.studies.models import Image, Study, Submission, Upload
from xrayportal.worklist.models import Unopened

logger = logging.getLogger(__name__)


#: How long a sender may take a study back.
TAKE_BACK = timedelta(hours=1)


class Reason(models.TextChoices):
    """The reason for deleting a study: a choice, because a free text could name a person in the audit."""

    MISTAKE = "mistake", _("Sent by mistake")
    WRONG_PATIENT = "wrong-patient", _("Filed under the wrong patient")
    REQUEST = "request", _("The patient or the clinic asked for it")
    OTHER = "other", _("Another reason")
    RETENTION = "retention", _("Older than the clinic keeps studies")


#: What a person may choose; the clinic's retention is the portal's own reason.
REASONS = [(reason.value, reason.label) for reason in Reason if reason != Reason.RETENTION]


def may_delete(access: ClinicAccess, study: Study) -> bool:
    """Whether this person may delete the study; two queries at most.

    A clinic's admin may. A sender may take back what they sent themselves, within `TAKE_BACK`, while no
    reader has opened it.
    """
    if access.may(Permission.MANAGE):
        return True
    if not access.may(Permission.SUBMIT) or study.submission.submitter_id != access.user.pk:
        return False
    if timezone.now() - study.created_at > TAKE_BACK:
        return False
    was_opened = not Unopened.objects.filter(study=study).exists()
    return not was_opened and not study.reviews.exists()


def delete_study(*, study: Study, reason: Reason, actor: Actor) -> bool:
    """Remove the study with its images, results and reviews. ``False``: another request was faster.

    Analyses that wait or run are cancelled first; a worker that finishes all the same finds no row and
    changes nothing. Files go after the commit; a crash before that leaves files without rows, which the
    reconciler removes. The audit keeps that the study was there, and who did what.
    """
    for analysis in study.analyses.unfinished().order_by("requested_at"):
        cancel_analysis(analysis=analysis, actor=actor)
    with transaction.atomic():
        submission = Submission.objects.select_for_update(of=("self",)).filter(studies=study).first()
        locked = Study.objects.select_for_update().filter(pk=study.pk).first()
        if submission is None or locked is None:
            return False
        clinic, files = locked.clinic, _files_of(locked)
        images = locked.images.count()
        # A file's name may name a person, so the uploads go as well, duplicates of other senders included.
        Upload.objects.filter(image__study=locked).delete()
        locked.delete()
        if not submission.is_open and not submission.studies.exists():
            forget_files(submission)
        record(
            clinic=clinic,
            action=Action.STUDY_DELETED,
            actor=actor,
            target=study,
            study=study,
            # With the submission, whose exports held the study.
            detail={"reason": str(reason), "images": images, "submission": str(submission.pk)},
        )
        transaction.on_commit(functools.partial(_remove_unnamed, clinic, files))
    return True


def is_deleted(*, study: uuid.UUID, clinic: Clinic | None) -> bool:
    """Whether the clinic (with None any clinic) had this study and it was deleted."""
    return count_deleted(studies=[study], clinic=clinic) > 0


def count_deleted(*, studies: Iterable[uuid.UUID], clinic: Clinic | None) -> int:
    """How many of these studies the clinic (with None any clinic) had and were deleted; one query."""
    events = AuditEvent.objects.filter(study_id__in=list(studies), action=Action.STUDY_DELETED)
    return (events if clinic is None else events.filter(clinic=clinic)).count()


def was_deleted(*, clinic: Clinic, study: uuid.UUID, user: User) -> bool:
    """Whether the study was deleted and this person had opened it before."""
    looks = AuditEvent.objects.filter(study_id=study, clinic=clinic, action=Action.STUDY_VIEWED)
    return is_deleted(study=study, clinic=clinic) and looks.filter(actor_id_text=str(user.pk)).exists()


def forget_files(submission: Submission) -> None:
    """Drop the names of files and folder and the CSV labels of a submission without studies."""
    submission.uploads.all().delete()
    submission.labels, submission.folder = {}, ""
    submission.save(update_fields=["labels", "folder"])


def remove_if_unnamed(clinic: Clinic, name: str) -> None:
    """Remove a file that no image of the clinic names; the caller holds the lock of its name."""
    sha256 = PurePosixPath(name).name
    if not Image.objects.filter(clinic=clinic, sha256=sha256, file=name).exists():
        default_storage.delete(name)


def _files_of(study: Study) -> list[str]:
    """Names of the study's own files; seeded rows share files with names of another shape."""
    prefix = f"clinics/{study.clinic_id}"
    originals = study.images.values_list("file", "sha256")
    own = [file for file, sha256 in originals if file == f"{prefix}/originals/{sha256[:2]}/{sha256}"]
    findings = Finding.objects.filter(analysis__study=study).values_list("analysis", *Finding.FILES)
    for analysis, *names in findings:
        own += [name for name in names if name.startswith(f"{prefix}/findings/{analysis}/")]
    return own


def _remove_unnamed(clinic: Clinic, names: Iterable[str]) -> None:
    """Remove files, each under the lock that an upload of the same picture holds until its row is there."""
    for name in names:
        try:
            with name_lock(name), removal() as may:
                if may:
                    remove_if_unnamed(clinic, name)
        except Exception:
            # Each storage has its own errors; the study is gone, and the reconciler finds the file.
            logger.exception("Could not remove %s of a deleted study", name)
