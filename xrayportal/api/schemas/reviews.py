"""What operations take and tell of reviews."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import Field

from xrayportal.analyses.models import Verdict
from xrayportal.api.schemas.fields import PLAIN, WHOLE, Input, Truth, one_of
from xrayportal.reviews import models as reviews
from xrayportal.reviews.entries import MAX_BOXES, MAX_COMMENT, MAX_SIDE

_Side = Annotated[int, Field(ge=0, le=MAX_SIDE), WHOLE]
_Extent = Annotated[int, Field(ge=1, le=MAX_SIDE), WHOLE]


class Box(Input):
    """A region that a reader drew, in displayed pixels: x, y, width, height."""

    image: uuid.UUID
    box: tuple[_Side, _Side, _Extent, _Extent]


class NewReview(Input):
    """A verdict of one's own."""

    verdict: Verdict
    body_part: Annotated[
        str, Field(max_length=32, pattern=PLAIN, description="Corrected; empty lets the model's stand.")
    ] = ""
    boxes: Annotated[list[Box], Field(max_length=MAX_BOXES)] = []
    comment: Annotated[str, Field(max_length=MAX_COMMENT, pattern=PLAIN)] = ""
    supersedes: Annotated[uuid.UUID | None, Field(description="One's own present review; null for none.")] = (
        None
    )
    sign: Annotated[Truth, Field(description="Makes it final.")] = False
    adjudicates: Annotated[Truth, Field(description="Decides a disagreement.")] = False


class Reader(Schema):
    """Who gave a verdict."""

    id: int
    name: str


class Review(Schema):
    """One stored verdict. Of others' reviews, a blind adjudicator sees the verdict alone."""

    id: uuid.UUID
    reader: Reader
    kind: Annotated[str, one_of(reviews.Review.Kind)]
    verdict: Verdict
    was_blind: bool
    is_own: bool
    created_at: datetime
    signed_at: datetime | None
    body_part: str | None
    boxes: list[dict[str, Any]] | None
    comment: str | None


class Consensus(Schema):
    """What a study's reviews come to."""

    state: Annotated[str, one_of(reviews.Consensus.State)]
    verdict: str
    body_part: str
    readers: int


class Reviews(Schema):
    """A study's reviews as this token may see them."""

    consensus: Consensus | None
    items: list[Review]


class StoredReview(Review):
    """The stored review, and the analysis that a corrected body part asked for."""

    analysis: uuid.UUID | None
    problem: Annotated[str, Field(description="Why the study was not analysed again; empty otherwise.")]
