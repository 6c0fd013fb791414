"""Opens, finishes and cancels submissions; seals studies and asks for their analysis.

Locks are taken in one order everywhere: submission, study, analyses, audit head.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Func, Q, QuerySet, TextField, Value
from django.utils import timezone
from django.utils.translation import gettext as _

from xrayportal.analyses import services as analyses
from xrayportal.analyses.bundles import NoActiveBundleError, active_bundle
from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic
from xrayportal.intake.bulk.settling import settle_rows
from xrayportal.studies.models import Grouping, Image, Study, Submission, Upload
from xrayportal.worklist.models import Digest

logger = logging.getLogger(__name__)

#: A person waits for the answer to "finish"; the reconciler seals the rest within its next rounds.
SEALED_AT_ONCE = 200


class ClinicUndecidedError(OSError):
    """The clinic takes no study yet; ``str(error)`` is a sentence for people, and later it may be taken."""


def create_submission(
    *,
    clinic: Clinic,
    actor: Actor,
    source: str = Submission.Source.BROWSER,
    queue: str,
    expected_files: int,
    grouping: str = Grouping.FOLDERS,
    continues: Submission | None = None,
    sender: str = "",
    key: str = "",
) -> Submission:
    """Open a submission that files can be sent to.

    ``key`` is made by a program that sends: it opens one submission only, a second raises IntegrityError.
    With ``continues`` it takes the rest of that one's files, and the files of one folder stay one study.
    Raises `ClinicUndecidedError` as long as nobody has decided about blind reading.
    """
    if not clinic.blind_first_decided:
        raise ClinicUndecidedError(
            _("This clinic takes no X-rays yet: one of its admins has to decide about blind reading first.")
        )
    with transaction.atomic():
        submission = Submission.objects.create(
            clinic=clinic,
            submitter=actor.user,
            source=source,
            sender=sender,
            queue=queue,
            expected_files=expected_files,
            grouping=grouping,
            continues_id=(continues.continues_id or continues.pk) if continues else None,
            key=key,
        )
        record(
            clinic=clinic,
            action=Action.SUBMISSION_CREATED,
            actor=actor,
            target=submission,
            detail={"expected_files": expected_files, "source": str(source)},
        )
    return submission


def finish_submission(*, submission: Submission, actor: Actor) -> None:
    """End a submission and seal its studies, each in its own transaction. Calling it again is harmless.

    A study that cannot be sealed now (an earlier analysis is running, no bundle is active, there are
    very many) stays open, and the reconciler seals it later (``studies_due``).
    """
    with transaction.atomic():
        locked = Submission.objects.select_for_update(no_key=True).get(pk=submission.pk)
        if locked.is_cancelled:
            return
        if locked.is_open:
            settle_rows(locked)
            _end(locked, Submission.State.FINISHED)
            if locked.submitter_id is not None:
                Digest.objects.get_or_create(
                    submission=locked, defaults={"clinic": locked.clinic, "user_id": locked.submitter_id}
                )
            record(
                clinic=locked.clinic,
                action=Action.SUBMISSION_FINISHED,
                actor=actor,
                target=locked,
                detail={"uploads": locked.uploads.count()},
            )
    submission.state, submission.finished_at = locked.state, locked.finished_at
    fed = Q(submission=submission) | Q(images__uploads__submission=submission)
    open_studies = Study.objects.open().filter(fed).distinct().order_by("created_at")
    for study in open_studies[:SEALED_AT_ONCE]:
        try_to_seal(study=study, actor=actor)


def cancel_submission(*, submission: Submission, actor: Actor) -> None:
    """Cancel a submission and its unfinished analyses. Results that exist stay."""
    with transaction.atomic():
        locked = Submission.objects.select_for_update(no_key=True).get(pk=submission.pk)
        if not locked.is_cancelled:
            _end(locked, Submission.State.CANCELLED)
            record(
                clinic=locked.clinic,
                action=Action.SUBMISSION_CANCELLED,
                actor=actor,
                target=locked,
            )
    submission.state, submission.finished_at = locked.state, locked.finished_at
    unfinished = Analysis.objects.unfinished().filter(study__submission=submission)
    for analysis in unfinished.order_by("requested_at"):
        analyses.cancel_analysis(analysis=analysis, actor=actor)


def _end(submission: Submission, state: str) -> None:
    """Set the state and drop the CSV labels and the files' paths, since no further file can use them."""
    submission.state, submission.finished_at, submission.labels = state, timezone.now(), {}
    if submission.folder and not _lies_in_one_folder(submission):
        submission.folder = ""
    submission.save(update_fields=["state", "finished_at", "labels", "folder"])
    submission.uploads.exclude(path="").update(path="")


def _lies_in_one_folder(submission: Submission) -> bool:
    """Whether the paths of all files begin with one folder; archives and CSVs may lie beside it."""
    first = Func(F("path"), Value("/"), Value(1), function="split_part", output_field=TextField())
    files = submission.uploads.exclude(outcome=Upload.Outcome.APPLIED).order_by()
    return len(files.values_list(first, flat=True).distinct()[:2]) == 1


def seal_study(*, study: Study, actor: Actor) -> None:
    """Close the study to further views and ask for its analysis; a sealed or deleted one is left alone.

    While an earlier analysis of the study runs it stays open: that analysis may have begun without the
    newest view. A waiting one is kept, because it takes all views when it starts.
    """
    with transaction.atomic():
        submission = (
            Submission.objects.select_for_update(no_key=True, of=("self",)).filter(studies=study).first()
        )
        locked = (
            Study.objects.select_for_update(no_key=True, of=("self",))
            .select_related("clinic")
            .filter(pk=study.pk)
            .first()
        )
        images = Image.objects.filter(study_id=study.pk).count()
        if (
            submission is None
            or locked is None
            or locked.is_sealed
            or locked.submission_id != submission.pk
            or submission.is_cancelled
            or not images
            or not _only_waiting_analyses(locked)
        ):
            return
        locked.state = Study.State.SEALED
        locked.sealed_at = timezone.now()
        locked.save(update_fields=["state", "sealed_at"])
        # Before our own event: the request may wait for a row, and nobody may wait holding the head.
        analyses.request_analysis(study=locked, actor=actor, queue=submission.queue)
        _record_seal(locked, images, actor)
    study.state, study.sealed_at = locked.state, locked.sealed_at


def store_sealed(*, study: Study, actor: Actor) -> Analysis | None:
    """Store a new study of one image, sealed, and ask for its analysis.

    As `seal_study`, without what only others could have changed: nobody else knows the study, and the caller
    holds its submission. The caller stores the image in the same transaction, and calls
    `record_seal_of_new_study` last of all. Returns None, and leaves the study open, where no bundle is
    active yet.
    """
    try:
        bundle = active_bundle()
    except NoActiveBundleError:
        logger.info("Study %s stays open: no bundle is active.", study.pk)
        study.save(force_insert=True)
        return None
    study.state, study.sealed_at = Study.State.SEALED, timezone.now()
    study.save(force_insert=True)
    return analyses.request_first_analysis(
        study=study, actor=actor, bundle=bundle, queue=study.submission.queue
    )


def record_seal_of_new_study(analysis: Analysis, actor: Actor) -> None:
    """Record the request and the seal of `store_sealed` in the audit."""
    analyses.record_request(analysis, actor)
    _record_seal(analysis.study, 1, actor)


def _record_seal(study: Study, images: int, actor: Actor) -> None:
    record(
        clinic=study.clinic,
        action=Action.STUDY_SEALED,
        actor=actor,
        target=study,
        study=study,
        detail={"images": images},
    )


def try_to_seal(*, study: Study, actor: Actor) -> None:
    """Seal the study, or leave it open where no bundle is active yet; the reconciler seals it later."""
    try:
        seal_study(study=study, actor=actor)
    except NoActiveBundleError:
        logger.info("Study %s stays open: no bundle is active.", study.pk)


def studies_due() -> QuerySet[Study]:
    """Open studies to seal now: their submission has ended, or no view came for ``SEAL_AFTER_SECONDS``."""
    quiet_since = timezone.now() - timedelta(seconds=settings.SEAL_AFTER_SECONDS)
    # A later submission may add views to the study of an earlier one, whose end then does not count.
    ended = Q(submission__state=Submission.State.FINISHED, last_view_at__lte=F("submission__finished_at"))
    return (
        Study.objects.open()
        .filter(Q(last_view_at__lt=quiet_since) | ended)
        .exclude(submission__state=Submission.State.CANCELLED)
        .order_by("last_view_at")
    )


def _only_waiting_analyses(study: Study) -> bool:
    """Lock the study's waiting analyses so that no worker claims them; False if one is running or ending.

    One that another transaction has locked is just being claimed, or ends: it counts as running, because
    the caller holds the study and must not wait.
    """
    unfinished = study.analyses.primary().unfinished()
    on_their_way = set(unfinished.values_list("pk", flat=True))
    if not on_their_way:  # and none begins while we hold the study
        return True
    waiting = unfinished.filter(state=Analysis.State.QUEUED)
    return on_their_way == set(waiting.select_for_update(skip_locked=True).values_list("pk", flat=True))
