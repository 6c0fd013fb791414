"""Takes one picture of a submission: prepares it, writes its file, stores its rows in one transaction."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from xrayportal.analyses.models import Analysis
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.actors import Actor
from xrayportal.clinics.models import Clinic
from xrayportal.intake.deletion import remove_if_unnamed
from xrayportal.intake.filenames import clean_filename, comparable_path, folder_of
from xrayportal.intake.known import Known, known_of, lock_submission, note_file
from xrayportal.intake.prepare import Prepared, prepare
from xrayportal.intake.quotas import check_quotas, count_file
from xrayportal.intake.rejection import RejectedError, as_stored
from xrayportal.intake.services import record_seal_of_new_study, store_sealed, try_to_seal
from xrayportal.logs import log_context
from xrayportal.reviews.models import Review
from xrayportal.studies.locks import lock_group, name_lock
from xrayportal.studies.models import Image, Study, Submission, Upload
from xrayportal.studies.storage import write_durably

logger = logging.getLogger(__name__)
trail = logging.getLogger("xrayportal.trail")


class SubmissionClosedError(Exception):
    """The submission takes no more files; ``str(error)`` is a sentence for people."""


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """One file as it was sent, its sender, and the facts that the sender stated about it.

    ``path`` is relative, with ``/`` between folders; it may be a bare name. ``size`` is in bytes, as sent.
    ``key`` names the file within the submission: the same key again is the same file.
    """

    submission: Submission
    key: str
    path: str
    actor: Actor
    size: int = 0
    patient_reference: str = ""
    grouping_key: str = ""
    stated_body_part: str = ""
    priority: int = 0
    #: A CSV may be about the file; which row is, all files together tell: its study waits for the end.
    waits: bool = False
    #: Stores more about the image (new, or here already) in the same transaction.
    also_store: Callable[[Image], None] | None = None

    @property
    def clinic(self) -> Clinic:
        """The submission's clinic."""
        return self.submission.clinic

    @property
    def filename(self) -> str:
        """The part of the path that is kept: its last piece, without hidden characters."""
        return clean_filename(self.path)


def ingest_file(incoming: IncomingFile, file: IO[bytes]) -> Upload:
    """Take one picture and return its Upload; a bad file is an outcome, not an exception.

    The same ``key`` again returns the same Upload. DICOM files are grouped by their study, others by
    ``grouping_key``, else each is a study of its own, sealed at once. A view joins a study of its own sender
    that nobody has signed; others make the next part of it (docs/decisions/late-views.md). Raises
    `SubmissionClosedError`, and `StorageUnavailableError` where the file could not be written; then nothing
    is stored and the same key may be sent again.
    """
    incoming = replace(incoming, size=size_of(file))
    submission = incoming.submission
    if not submission.is_open:  # nothing is prepared in vain
        with transaction.atomic():
            _submission, earlier, _known = _enter(incoming)
        if earlier is not None:
            return earlier
    check_quotas(incoming)
    try:
        with as_stored():
            prepared = prepare(file, incoming.size, incoming.clinic)
    except RejectedError as error:
        with as_stored():
            return reject(incoming, error)
    name = prepared.name(incoming.clinic)
    with name_lock(name):
        write_durably(name, prepared.content)
        try:
            upload = _store(incoming, prepared, name)
        except SubmissionClosedError:  # closed meanwhile: the file is not kept
            remove_if_unnamed(incoming.clinic, name)
            raise
        if upload.image is None or upload.image.file != name:  # another file came with this key before
            remove_if_unnamed(incoming.clinic, name)
    # A study of one file that existed before, such as one of a cancelled submission.
    study = upload.image.study if upload.image else None
    if study is not None:
        with log_context(study=study.pk):
            trail.info("Upload %s of submission %s is stored", upload.pk, submission.pk)
            if not study.is_sealed and not _is_grouped(incoming, prepared):
                try_to_seal(study=study, actor=incoming.actor)
    return upload


def refuse_closed(submission: Submission) -> None:
    """Raise `SubmissionClosedError` for a submission that has ended."""
    if submission.is_cancelled:
        raise SubmissionClosedError(_("This submission was cancelled. Start a new one."))
    if submission.state == Submission.State.FINISHED:
        raise SubmissionClosedError(_("This submission is finished. Start a new one for further files."))


def size_of(file: Any) -> int:
    """The size as sent, in bytes: an upload that was too large is cut on the disk but knows its true size."""
    known = getattr(file, "size", None)
    return int(known) if known is not None else int(file.seek(0, os.SEEK_END))


def _store(incoming: IncomingFile, prepared: Prepared, name: str) -> Upload:
    """Store Upload, Image, Study and audit in one transaction; once more if another request was faster."""
    try:
        return _store_once(incoming, prepared, name)
    except (IntegrityError, Study.DoesNotExist):  # begun by another submission, or deleted, meanwhile
        return _store_once(incoming, prepared, name)


@transaction.atomic
def _store_once(incoming: IncomingFile, prepared: Prepared, name: str) -> Upload:
    submission, earlier, known = _enter(incoming, prepared)
    if earlier is not None:
        return earlier
    analysis: Analysis | None = None
    image = _image(incoming, prepared) if known.image else None
    if image is not None:
        study = Study.objects.select_for_update(no_key=True).get(pk=image.study_id)
        outcome, sentence = (
            Upload.Outcome.DUPLICATE,
            _("This picture is already here; it is not stored twice."),
        )
    else:
        study, analysis = _study(incoming, prepared, submission, known)
        image = Image.objects.create(
            clinic=incoming.clinic,
            study=study,
            sha256=prepared.sha256,
            file=name,
            media_type=prepared.media_type,
            size=len(prepared.content),
            view_position=prepared.view_position,
            notes=list(prepared.notes),
        )
        outcome, sentence = Upload.Outcome.ACCEPTED, ""
    image.study = study
    if incoming.also_store is not None:
        incoming.also_store(image)
    upload = _upload(incoming, outcome=outcome, sentence=sentence, image=image)
    if outcome == Upload.Outcome.DUPLICATE:
        _adopt(study, submission)
    detail: dict[str, str | int] = {
        "upload": str(upload.pk),
        "media_type": image.media_type,
        "sha256": image.sha256,
    }
    record(
        clinic=incoming.clinic,
        action=Action.UPLOAD_DUPLICATE if outcome == Upload.Outcome.DUPLICATE else Action.IMAGE_STORED,
        actor=incoming.actor,
        target=image,
        study=study,
        detail=detail if study.part == 1 else detail | {"part": study.part},
    )
    if analysis is not None:
        record_seal_of_new_study(analysis, incoming.actor)
    return upload


def reject(incoming: IncomingFile, error: RejectedError) -> Upload:
    """Record that this file was not taken, and why."""
    with transaction.atomic():
        _submission, earlier, _known = _enter(incoming)
        if earlier is not None:
            return earlier
        upload = _upload(
            incoming,
            outcome=Upload.Outcome.REJECTED,
            sentence=error.sentence(incoming.filename),
            kind=error.kind,
        )
        record(
            clinic=incoming.clinic,
            action=Action.UPLOAD_REJECTED,
            actor=incoming.actor,
            target=upload,
            detail={"kind": error.kind, "size": incoming.size},
        )
    logger.info("Upload %s rejected: %s", upload.pk, error.kind)
    return upload


def note_applied(incoming: IncomingFile, sentence: str) -> Upload:
    """Record that an archive was unpacked or a CSV applied; ``sentence`` tells people the result."""
    with transaction.atomic():
        _submission, earlier, _known = _enter(incoming)
        return earlier or _upload(incoming, outcome=Upload.Outcome.APPLIED, sentence=sentence)


def _enter(
    incoming: IncomingFile, prepared: Prepared | None = None
) -> tuple[Submission, Upload | None, Known]:
    """Lock the submission, the first lock of all.

    Return it, the Upload if the key came in meanwhile, and what else of the prepared file is here.
    """
    submission = lock_submission(incoming.submission.pk)
    sha256, group = (prepared.sha256, _group(incoming, prepared)) if prepared else ("", "")
    known = known_of(submission=submission, key=incoming.key, sha256=sha256, group=group)
    earlier = Upload.objects.get(submission=submission, key=incoming.key) if known.upload else None
    if earlier is None:
        refuse_closed(submission)
        note_file(submission, folder_of(incoming.path))
    return submission, earlier, known


def _upload(incoming: IncomingFile, **fields: Any) -> Upload:
    count_file(incoming)
    return Upload.objects.create(
        submission=incoming.submission,
        key=incoming.key,
        filename=incoming.filename,
        path=comparable_path(incoming.path),
        size=incoming.size,
        **fields,
    )


def _is_grouped(incoming: IncomingFile, prepared: Prepared) -> bool:
    return bool(prepared.study_key or incoming.grouping_key or incoming.waits)


def _group(incoming: IncomingFile, prepared: Prepared) -> str:
    """What the views of the file's study are grouped by."""
    return prepared.study_key or incoming.grouping_key or prepared.sha256


def _image(incoming: IncomingFile, prepared: Prepared) -> Image | None:
    """The clinic's image with this content."""
    return Image.objects.filter(clinic=incoming.clinic, sha256=prepared.sha256).first()


def _study(
    incoming: IncomingFile, prepared: Prepared, submission: Submission, known: Known
) -> tuple[Study, Analysis | None]:
    """Lock or store the study of the new view and open it (again).

    Return it, and the analysis of a study that is complete with this view.
    """
    key, is_grouped = _group(incoming, prepared), _is_grouped(incoming, prepared)
    of_group = Study.objects.filter(clinic=incoming.clinic, grouping_key=key)
    parts: list[Study] = []
    if is_grouped:
        lock_group(incoming.clinic.pk, key)
    # Another's first view of the group may have come until it was locked.
    if of_group.exists() if is_grouped else known.study:
        locked = of_group.select_for_update(no_key=True, of=("self",))
        parts = list(locked.select_related("submission").order_by("part"))
    signed = _signed(parts)
    own = [part for part in parts if part.submission.has_sender_of(submission) and part.pk not in signed]
    if not own:
        study = Study(
            clinic=incoming.clinic,
            grouping_key=key,
            part=parts[-1].part + 1 if parts else 1,
            submission=submission,
            patient_reference=incoming.patient_reference or prepared.patient_reference,
            stated_body_part=incoming.stated_body_part,
            priority=incoming.priority,
        )
        # Views of a group wait for the submission's end; a study of one file has all it will ever have.
        if not is_grouped:
            return study, store_sealed(study=study, actor=incoming.actor)
        study.save(force_insert=True)
        return study, None
    study = own[-1]
    # A view that comes later means a new analysis: open, it will be sealed again.
    study.state, study.sealed_at, study.last_view_at = Study.State.OPEN, None, timezone.now()
    if study.submission_id != submission.pk and study.submission.is_cancelled:
        study.submission = submission
    study.patient_reference = study.patient_reference or incoming.patient_reference
    study.stated_body_part = study.stated_body_part or incoming.stated_body_part
    study.save()
    return study, None


def _adopt(study: Study, submission: Submission) -> None:
    """Move a cancelled submission's study that was never analysed to the submission that sends it again.

    Another sender gets it with the last of its pictures: one of them opens none of the others.
    """
    if not study.submission.is_cancelled or _signed([study]):
        return
    if study.analyses.filter(state__in=[*Analysis.UNFINISHED, Analysis.State.SUCCEEDED]).exists():
        return
    if not study.submission.has_sender_of(submission):
        sender = submission.submitter
        if sender is None or not Study.objects.sent_whole_by(sender).filter(pk=study.pk).exists():
            return
    study.submission, study.state, study.sealed_at = submission, Study.State.OPEN, None
    study.last_view_at = timezone.now()
    study.save()


def _signed(studies: Sequence[Study]) -> set[uuid.UUID]:
    """The ids of those studies that a reader has signed; the caller has locked them."""
    if not studies:
        return set()
    signed = Review.objects.filter(study__in=studies, is_current=True, signed_at__isnull=False)
    return set(signed.values_list("study", flat=True))
