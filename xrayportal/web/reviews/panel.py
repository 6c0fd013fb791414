"""The review panel of the study page, as one person sees it; ``reviews/_panel.html`` renders it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import cached_property

from xrayportal.access import ClinicAccess, Permission
from xrayportal.analyses.models import Bundle, Verdict
from xrayportal.clinics.models import User
from xrayportal.reviews import adjudication, blind
from xrayportal.reviews.entries import Box, Sentence
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Study
from xrayportal.words import verdicts

#: The words of verdicts while no bundle is registered that has its own.
PLAIN_TARGET = {
    "normal": "normal",
    "abnormal": "abnormal",
    "uncertain": "uncertain",
    "unsupported": "unsupported",
}
ORDER = (Verdict.NORMAL, Verdict.ABNORMAL, Verdict.UNCERTAIN, Verdict.UNSUPPORTED)


@dataclass(frozen=True)
class Choice:
    """One verdict button: ``key`` is the digit that presses it."""

    key: int
    code: str
    word: str


@dataclass
class Panel:
    """The state of the panel; at most five queries, whatever the study holds."""

    access: ClinicAccess
    study: Study
    #: The values of a form that was refused: shown again, with the reason.
    sent: Mapping[str, str] | None = None
    problem: Sentence = ""

    @cached_property
    def reviews(self) -> list[Review]:
        """Every review of the study, oldest first, superseded ones included."""
        return list(
            Review.objects.filter(study=self.study).select_related("reader").order_by("created_at", "id")
        )

    @cached_property
    def current(self) -> list[Review]:
        """The newest review of each chain."""
        return [review for review in self.reviews if review.is_current]

    @cached_property
    def consensus(self) -> Consensus | None:
        """The consensus of the reviews, if there are any."""
        if not self.reviews:
            return None
        row = Consensus.objects.filter(study=self.study).first()
        if row is not None:
            row.clinic = self.access.clinic
        return row

    @property
    def reads(self) -> bool:
        """Whether this person may review at all."""
        return self.access.may(Permission.REVIEW)

    @cached_property
    def revealed(self) -> bool:
        """``blind.reveals``, from the reviews that are loaded already."""
        has_opinion = any(review.reader_id == self.access.user.pk for review in self.reviews)
        return has_opinion or not blind.reads_blind(self.access)

    @cached_property
    def adjudicates(self) -> bool:
        """Whether the form stores an adjudication."""
        return adjudication.may_adjudicate(
            self.access, self.consensus, self.current, adjudicator=self.adjudicator
        )

    @cached_property
    def adjudicator(self) -> User | None:
        """The person who was named to settle, if they are still a reader."""
        return adjudication.adjudicator_of(self.consensus)

    @cached_property
    def own(self) -> Review | None:
        """The person's own current review, the one that the form would supersede."""
        return adjudication.own_review(self.access, self.current, adjudicates=self.adjudicates)

    @cached_property
    def others(self) -> list[Review]:
        """Other people's signed reviews: for a blind reader after their own, for an adjudicator at once.

        The template shows a blind adjudicator the verdicts alone: comments, body parts and regions may go by
        the prediction.
        """
        if not (self.revealed or self.adjudicates):
            return []
        return [r for r in self.current if r.is_signed and r != self.own]

    @property
    def shows_review_status(self) -> bool:
        """Whether the consensus is shown: it reveals what others said."""
        return self.consensus is not None and (self.revealed or self.adjudicates)

    @cached_property
    def changed_from(self) -> Review | None:
        """The person's own last blind opinion, if their verdict has changed since."""
        if self.own is None:
            return None
        chain = [r for r in self.reviews if r.reader_id == self.own.reader_id and r.was_blind]
        before = [r for r in chain if (r.kind == Review.Kind.ADJUDICATION) is self.adjudicates]
        return before[-1] if before and before[-1].verdict != self.own.verdict else None

    @property
    def open(self) -> bool:
        """Whether the form is shown at once; after signing it waits behind a button."""
        return self.sent is not None or self.own is None or not self.own.is_signed

    @property
    def ready(self) -> bool:
        """Whether the study may be reviewed: when it is complete."""
        return self.study.is_sealed

    @cached_property
    def bundle(self) -> Bundle | None:
        """The bundle of the result, else the active one: words and body parts come from it."""
        if self.study.current is not None:
            return self.study.current.bundle
        return Bundle.objects.active().first()

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest that the words of verdicts come from."""
        return self.bundle.manifest if self.bundle else {"target": PLAIN_TARGET}

    @cached_property
    def choices(self) -> list[Choice]:
        """The verdict buttons in order."""
        return [
            Choice(key, code.value, verdicts.verdict_word(self.manifest, code.value))
            for key, code in enumerate(ORDER, start=1)
        ]

    @cached_property
    def body_parts(self) -> list[tuple[str, str]]:
        """Body parts to choose from: label and word."""
        return (
            [(body_part, verdicts.body_part_word(body_part)) for body_part in self.bundle.body_parts]
            if self.bundle
            else []
        )

    @cached_property
    def images(self) -> list[uuid.UUID]:
        """The study's images, in the order of the page."""
        return list(self.study.images.values_list("pk", flat=True))

    @cached_property
    def entered(self) -> Mapping[str, str]:
        """The form's values: those of the refused form, else of the own review, else none."""
        if self.sent is not None:
            return self.sent
        own = self.own
        if own is None:
            return {"boxes": "[]"}
        return {
            "verdict": own.verdict,
            "body_part": own.body_part,
            "boxes": json.dumps(own.boxes),
            "comment": own.comment,
        }

    @property
    def has_more(self) -> bool:
        """Whether there is more than a verdict, which is then unfolded: a comment, a body part, regions."""
        entered = self.entered
        return bool(
            entered.get("comment") or entered.get("body_part") or entered.get("boxes", "[]") not in ("", "[]")
        )

    @property
    def shown_boxes(self) -> str:
        """Regions for the viewer, as JSON: the person's own, and others' once the prediction is revealed."""
        regions = [self._drawn(r, own=False) for r in self.others if r.boxes and self.revealed]
        if self.own and self.own.boxes and self.sent is None:
            regions.append(self._drawn(self.own, own=True))
        return json.dumps(regions)

    @staticmethod
    def _drawn(review: Review, *, own: bool) -> dict[str, str | bool | list[Box]]:
        return {"reader": str(review.reader), "own": own, "boxes": review.boxes}
