"""What the review panel of the study page shows to one person: gathered here, drawn by a template."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import cached_property

from xrayportal import words
from xrayportal.access import ClinicAccess, Permission
from xrayportal.analyses.models import Bundle, Verdict
from xrayportal.clinics.models import User
from xrayportal.reviews import adjudication, blind
from xrayportal.reviews.entries import Box, Sentence
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Study

#: The words until a bundle is known: the codes have no target then.
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
    """The panel's state; at most five queries, whatever the study holds."""

    access: ClinicAccess
    study: Study
    #: What somebody sent that could not be stored: shown again, with the reason.
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
        """The newest of each chain."""
        return [review for review in self.reviews if review.is_current]

    @cached_property
    def consensus(self) -> Consensus | None:
        """Where the reviews stand, if there is any."""
        found = Consensus.objects.filter(study=self.study).select_related("adjudicator", "clinic")
        return found.first()

    @property
    def reads(self) -> bool:
        """Whether this person may review at all."""
        return self.access.may(Permission.REVIEW)

    @cached_property
    def revealed(self) -> bool:
        """``blind.reveals``, answered from the reviews at hand."""
        mine = any(review.reader_id == self.access.user.pk for review in self.reviews)
        return mine or not blind.reads_blind(self.access)

    @cached_property
    def adjudicates(self) -> bool:
        """Whether the form adjudicates."""
        return adjudication.may_adjudicate(
            self.access, self.consensus, self.current, adjudicator=self.adjudicator
        )

    @cached_property
    def adjudicator(self) -> User | None:
        """Who was named to settle, if they still can."""
        return adjudication.adjudicator_of(self.consensus)

    @cached_property
    def own(self) -> Review | None:
        """The person's own current review, the one that the form would supersede."""
        return adjudication.own_review(self.access, self.current, adjudicates=self.adjudicates)

    @property
    def others(self) -> list[Review]:
        """Other people's signed reviews: for a blind reader after their own, for an adjudicator at once.

        A blind adjudicator is shown the verdicts alone: comments, parts and regions may go by the prediction.
        """
        if not (self.revealed or self.adjudicates):
            return []
        return [r for r in self.current if r.is_signed and r != self.own]

    @property
    def shows_standing(self) -> bool:
        """The standing tells what others said."""
        return self.consensus is not None and (self.revealed or self.adjudicates)

    @cached_property
    def changed_from(self) -> Review | None:
        """The person's own blind opinion, where they now say something else."""
        if self.own is None:
            return None
        chain = [r for r in self.reviews if r.reader_id == self.own.reader_id and r.was_blind]
        before = [r for r in chain if (r.kind == Review.Kind.ADJUDICATION) is self.adjudicates]
        return before[-1] if before and before[-1].verdict != self.own.verdict else None

    @property
    def open(self) -> bool:
        """The form is shown at once; after signing it waits behind a button."""
        return self.sent is not None or self.own is None or not self.own.is_signed

    @property
    def ready(self) -> bool:
        """Complete studies only."""
        return self.study.is_sealed

    @cached_property
    def bundle(self) -> Bundle | None:
        """The bundle of the result, else the active one: words and parts come from it."""
        if self.study.current is not None:
            return self.study.current.bundle
        return Bundle.objects.active().first()

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Where verdict words come from."""
        return self.bundle.manifest if self.bundle else {"target": PLAIN_TARGET}

    @property
    def choices(self) -> list[Choice]:
        """The verdict buttons in order."""
        return [
            Choice(key, code.value, words.verdict_word(self.manifest, code.value))
            for key, code in enumerate(ORDER, start=1)
        ]

    @property
    def body_parts(self) -> list[tuple[str, str]]:
        """Body parts to choose from: label and word."""
        return (
            [(body_part, words.body_part_word(body_part)) for body_part in self.bundle.body_parts]
            if self.bundle
            else []
        )

    @cached_property
    def images(self) -> list[uuid.UUID]:
        """The study's images, in the order of the page."""
        return list(self.study.images.values_list("pk", flat=True))

    @property
    def entered(self) -> Mapping[str, str]:
        """The form's values: what was sent, else the own review, else nothing."""
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
    def shown_boxes(self) -> str:
        """Regions for the viewer, as JSON: the person's own; others' once the prediction may be known."""
        shown = [self._drawn(r, own=False) for r in self.others if r.boxes and self.revealed]
        if self.own and self.own.boxes and self.sent is None:
            shown.append(self._drawn(self.own, own=True))
        return json.dumps(shown)

    @staticmethod
    def _drawn(review: Review, *, own: bool) -> dict[str, str | bool | list[Box]]:
        return {"reader": str(review.reader), "own": own, "boxes": review.boxes}
