"""Storing and signing reviews, and naming adjudicators: all writes of this room."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from xrayportal.access import ClinicAccess, Permission
from xrayportal.analyses.bundles import NoActiveBundleError
from xrayportal.analyses.models import Analysis
from xrayportal.analyses.services import UnknownBodyPartError, request_analysis
from xrayportal.audit.models import Action
from xrayportal.audit.services import record
from xrayportal.clinics.models import User
from xrayportal.reviews import blind
from xrayportal.reviews.adjudication import adjudicator_of, clinic_readers, may_adjudicate, own_review
from xrayportal.reviews.consensus import derive_consensus
from xrayportal.reviews.entries import Entry, Sentence
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Queue, Study

Kind = Review.Kind
State = Consensus.State
_GONE = _("This study was deleted while you had it open. Nothing was saved.")
#: A signature may be taken back this long.
WITHDRAWN_WITHIN = timedelta(minutes=10)


class ReviewRefused(Exception):
    """A change that the rules forbid: nothing was stored, and ``sentence`` tells the reader why."""

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(str(sentence))
        self.sentence = sentence


class StaleReview(ReviewRefused):
    """The form showed an older review of the reader's own than their newest one."""


class StudyDeleted(ReviewRefused):
    """The study was deleted while the reader had it open."""


@dataclass(frozen=True)
class StoredReview:
    """A stored review, and the new analysis if the review corrected the body part."""

    review: Review
    analysis: Analysis | None = None
    #: Why the study could not be analysed again with the corrected body part; the review is stored anyway.
    problem: Sentence = ""


def store_review(
    *,
    access: ClinicAccess,
    study_id: uuid.UUID,
    entry: Entry,
    supersedes: uuid.UUID | None,
    sign: bool,
    adjudicates: bool = False,
    images_shown: int | None = None,
) -> StoredReview:
    """Store a reader's opinion; with ``sign`` it is final, with ``adjudicates`` it is an adjudication.

    ``supersedes`` is the reader's own review that the form showed, None for none; ``images_shown`` is how
    many images the study had then, None where nobody can say. Sending the same form twice stores it once.
    Raises `StaleReview` if their own review is another one by now or images have come since, `StudyDeleted`,
    and `ReviewRefused` where the rules forbid it.
    """
    if not access.may(Permission.REVIEW):
        raise ReviewRefused(_("Only readers of this clinic can review studies."))
    with transaction.atomic():
        study = _locked(access, study_id)
        current = list(Review.objects.filter(study=study, is_current=True).order_by("created_at", "id"))
        own = own_review(access, current, adjudicates=adjudicates)
        if (own.pk if own else None) != supersedes:
            return StoredReview(_repeated(own, entry, supersedes=supersedes, sign=sign))
        _check_rules(access, study, current, own, sign=sign, adjudicates=adjudicates)
        if images_shown is not None and images_shown != study.images.count():
            raise StaleReview(
                _("More images of this study came while you had it open. Look at them, then save again.")
            )
        if own is None or not _equals(own, entry):
            review = _add(access, study, current, own, entry, sign=sign, adjudicates=adjudicates)
        elif own.is_signed is sign:
            return StoredReview(own)
        else:  # the draft as it is
            review = own
            review.signed_at = timezone.now()
            review.save(update_fields=["signed_at"])
        refresh_consensus(study)
        record(
            clinic=access.clinic,
            action=Action.REVIEW_SIGNED if sign else Action.REVIEW_SAVED,
            actor=access.actor,
            target=review,
            study=study,
            detail={
                "kind": review.kind,
                "blind": review.was_blind,
                "supersedes": str(review.supersedes_id) if review.supersedes_id else None,
            },
        )
    return _with_corrected_body_part(access, study, review, own)


def withdraw_signature(*, access: ClinicAccess, study_id: uuid.UUID, review_id: uuid.UUID) -> Review:
    """Take back the person's own signature of a moment ago; returns the review that is theirs now.

    What was signed stays on record: a new row supersedes it, with the signed opinion that it had changed, or
    else with the same opinion as a draft. Raises `ReviewRefused` where it is not their newest signature, too
    old, or was adjudicated meanwhile; `StudyDeleted`.
    """
    with transaction.atomic():
        study = _locked(access, study_id)
        signed = _withdrawable(access, study, review_id)
        before = signed.supersedes if signed.supersedes and signed.supersedes.is_signed else None
        signed.is_current = False
        signed.save(update_fields=["is_current"])
        source = before or signed
        review = Review.objects.create(
            clinic=access.clinic,
            study=study,
            reader=access.user,
            kind=source.kind,
            analysis=source.analysis,
            was_blind=source.was_blind,
            verdict=source.verdict,
            body_part=source.body_part,
            boxes=source.boxes,
            comment=source.comment,
            signed_at=timezone.now() if before else None,
            supersedes=signed,
        )
        refresh_consensus(study)
        record(
            clinic=access.clinic,
            action=Action.REVIEW_WITHDRAWN,
            actor=access.actor,
            target=review,
            study=study,
            detail={"kind": review.kind, "supersedes": str(signed.pk)},
        )
    return review


def _withdrawable(access: ClinicAccess, study: Study, review_id: uuid.UUID) -> Review:
    """The person's own signature, if it may be taken back. Raises `ReviewRefused`."""
    signed = (
        Review.objects.filter(pk=review_id, study=study, reader=access.user, is_current=True)
        .select_related("supersedes")
        .first()
    )
    if signed is None or signed.signed_at is None:
        raise ReviewRefused(_("This signature is no longer your newest one. Nothing was changed."))
    if signed.signed_at < timezone.now() - WITHDRAWN_WITHIN:
        raise ReviewRefused(_("It is too late to take this signature back. Change your review instead."))
    is_adjudicated = Consensus.objects.filter(study=study, state=State.ADJUDICATED).exists()
    if is_adjudicated and signed.kind != Kind.ADJUDICATION:
        raise ReviewRefused(_("The study was adjudicated in the meantime. Nothing was changed."))
    return signed


def name_adjudicator(*, access: ClinicAccess, study_id: uuid.UUID, reader: User | None) -> None:
    """Name the reader who settles a disagreement; None leaves it to any third reader.

    Raises `ReviewRefused` for a person who is not an admin, a study without a disagreement, and a person
    who is not a reader of the clinic; `StudyDeleted`.
    """
    if not access.may(Permission.MANAGE):
        raise ReviewRefused(_("Only an admin can name who decides."))
    with transaction.atomic():
        study = _locked(access, study_id)
        consensus = Consensus.objects.filter(study=study, state=State.DISAGREED).first()
        if consensus is None:
            raise ReviewRefused(_("The readers of this study no longer disagree."))
        if reader and reader not in clinic_readers(access.clinic):
            raise ReviewRefused(_("This person is not a reader of the clinic."))
        consensus.adjudicator = reader
        consensus.save(update_fields=["adjudicator"])
        record(
            clinic=access.clinic,
            action=Action.ADJUDICATOR_NAMED,
            actor=access.actor,
            target=reader,
            study=study,
        )


def refresh_consensus(study: Study) -> Consensus:
    """Derive the study's consensus from its reviews and keep it; the caller holds the study's lock."""
    derived = asdict(derive_consensus(Review.objects.filter(study=study).order_by("created_at", "id")))
    known = {"clinic_id": study.clinic_id, **derived}
    consensus, is_new = Consensus.objects.get_or_create(study=study, defaults=known)
    changed = [name for name, value in derived.items() if getattr(consensus, name) != value]
    if not is_new and changed:  # after a draft, what waits goes on waiting since the same moment
        for name in changed:
            setattr(consensus, name, derived[name])
        consensus.save(update_fields=[*changed, "changed_at"])
    return consensus


def _locked(access: ClinicAccess, study_id: uuid.UUID) -> Study:
    """The study, locked, so that two people who review it at once take turns. Raises `StudyDeleted`."""
    study = (
        access.studies()
        .select_for_update(no_key=True, of=("self",))
        .select_related("current")
        .filter(pk=study_id)
    ).first()
    if study is None:
        raise StudyDeleted(_GONE)
    return study


def _check_rules(
    access: ClinicAccess,
    study: Study,
    current: list[Review],
    own: Review | None,
    *,
    sign: bool,
    adjudicates: bool,
) -> None:
    if not study.is_sealed:
        raise ReviewRefused(_("This study is still receiving images. Review it when it is complete."))
    if own is not None and own.is_signed and not sign:
        raise ReviewRefused(
            _("Your review is already signed. Sign the change; it cannot be saved as a draft.")
        )
    if adjudicates:
        consensus = Consensus.objects.filter(study=study).select_related("adjudicator", "clinic").first()
        if not may_adjudicate(access, consensus, current, adjudicator=adjudicator_of(consensus)):
            raise ReviewRefused(
                _("There is nothing for you to decide here: the readers agree, or somebody else decides.")
            )


def _equals(review: Review, entry: Entry) -> bool:
    return (review.verdict, review.body_part, review.boxes, review.comment) == (
        entry.verdict,
        entry.body_part,
        entry.boxes,
        entry.comment,
    )


def _repeated(own: Review | None, entry: Entry, *, supersedes: uuid.UUID | None, sign: bool) -> Review:
    """The review that the form stored before: it came twice, by a second click or by the network.

    Raises `StaleReview` where their own review is another one.
    """
    is_again = own is not None and own.supersedes_id == supersedes and own.is_signed is sign
    if own is None or not is_again or not _equals(own, entry):
        raise StaleReview(
            _(
                "You saved another review of this study in the meantime. What you entered is below: "
                "compare, then save again."
            )
        )
    return own


def _add(
    access: ClinicAccess,
    study: Study,
    current: list[Review],
    own: Review | None,
    entry: Entry,
    *,
    sign: bool,
    adjudicates: bool,
) -> Review:
    is_blind = blind.is_blind(access, study, study.current)
    if adjudicates:
        kind: str = Kind.ADJUDICATION
    elif own is not None:
        kind = own.kind
    else:
        kind = Kind.SECOND if any(r.kind != Kind.ADJUDICATION for r in current) else Kind.FIRST
    if own is not None:
        # Before the new row is added: the index allows one current review at any moment.
        own.is_current = False
        own.save(update_fields=["is_current"])
    return Review.objects.create(
        clinic=access.clinic,
        study=study,
        reader=access.user,
        kind=kind,
        analysis=None if is_blind else study.current,
        was_blind=is_blind,
        verdict=entry.verdict,
        body_part=entry.body_part,
        boxes=entry.boxes,
        comment=entry.comment,
        signed_at=timezone.now() if sign else None,
        supersedes=own,
    )


def _with_corrected_body_part(
    access: ClinicAccess, study: Study, review: Review, own: Review | None
) -> StoredReview:
    """Analyse again with the body part that the reader corrected, once per correction.

    After the review's transaction: a missing bundle must not cost the reader their review.
    """
    body_part = review.body_part
    predicted = study.current.body_part if study.current else ""
    if not body_part or body_part == predicted or (own is not None and own.body_part == body_part):
        return StoredReview(review)
    try:
        # A person waits for it, also where the study came in as bulk work.
        analysis = request_analysis(
            study=study, actor=access.actor, forced_body_part=body_part, queue=Queue.INTERACTIVE
        )
    except (NoActiveBundleError, UnknownBodyPartError) as error:
        return StoredReview(review, problem=str(error))
    except Study.DoesNotExist as error:
        raise StudyDeleted(_GONE) from error
    return StoredReview(review, analysis)
