"""Deletes studies that are older than their clinic keeps them."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from xrayportal.clinics.actors import PORTAL
from xrayportal.clinics.models import Clinic
from xrayportal.intake.deletion import Reason, delete_study, forget_files
from xrayportal.rows import act_on_each
from xrayportal.studies.models import Study, Submission


def apply_retention(*, limit: int | None = None, dry_run: bool = False) -> int:
    """Delete due studies, oldest first, at most ``limit``; return how many were (or would be) deleted.

    A study's age counts from when it was sent. One still being received is left until it is sealed, or its
    submission cancelled: then no view comes any more and nobody will ever seal it.
    """
    done = 0
    for clinic in Clinic.objects.filter(retention_days__isnull=False).order_by("pk"):
        left = None if limit is None else limit - done
        if left == 0:
            break
        before = timezone.now() - timedelta(days=clinic.retention_days or 0)
        ended = Q(state=Study.State.SEALED) | Q(submission__state=Submission.State.CANCELLED)
        due = Study.objects.filter(ended, clinic=clinic, created_at__lt=before)
        if dry_run:
            done += due[:left].count()
            continue
        done += act_on_each(due.order_by("created_at")[:left], _delete)
        _forget_empty_submissions(clinic, before)
    return done


def _delete(study: Study) -> bool:
    return delete_study(study=study, reason=Reason.RETENTION, actor=PORTAL)


def _forget_empty_submissions(clinic: Clinic, before: datetime) -> None:
    """Drop the file names and CSV labels of ended submissions without a study."""
    empty = Submission.objects.filter(clinic=clinic, created_at__lt=before, studies__isnull=True)
    ended = empty.exclude(state=Submission.State.OPEN)
    for submission in ended.filter(uploads__isnull=False).distinct():
        forget_files(submission)
