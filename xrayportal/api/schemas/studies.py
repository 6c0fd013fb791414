"""What operations take and tell of studies and their views."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field

from xrayportal.analyses.models import Verdict
from xrayportal.api.schemas.analyses import Result
from xrayportal.api.schemas.fields import PLAIN, Moment, one_of
from xrayportal.studies import models as studies

#: The state of a study's newest analysis; ``receiving`` before the first.
Status = Literal["receiving", "queued", "running", "succeeded", "failed", "cancelled"]


class Study(Schema):
    """One examination. `result` is null before there is one, and while it is hidden."""

    id: uuid.UUID
    submission: uuid.UUID
    patient_reference: str
    name: Annotated[str, Field(description="The name of its first file.")]
    views: int
    state: Annotated[str, one_of(studies.Study.State)]
    status: Annotated[
        Status,
        Field(description="The state of its newest analysis; `receiving` before the first."),
    ]
    stated_body_part: str
    created_at: datetime
    is_hidden: Annotated[
        bool, Field(description="Blind reading: the prediction appears once a verdict of one's own is saved.")
    ]
    result: Result | None


class Image(Schema):
    """One view of a study."""

    id: uuid.UUID
    view_position: str
    media_type: str
    size: int
    sha256: Annotated[str, Field(description="Of the stored, de-identified file.")]
    original: Annotated[str, Field(description="Its address; needs the scope `images:read`.")]


class StudyDetail(Study):
    """A study with its views."""

    images: list[Image]
    problem: Annotated[str, Field(description="Why its newest analysis failed; empty unless it did.")]


class StudyPage(Schema):
    """A page of studies, newest first."""

    items: list[Study]
    next: str | None


class StudyFilters(Schema):
    """Which studies a list holds. Those whose prediction is hidden match no verdict."""

    submission: uuid.UUID | None = None
    patient_reference: Annotated[str, Field(max_length=64, pattern=PLAIN)] = ""
    verdict: Verdict | None = None
    body_part: Annotated[str, Field(max_length=32, pattern=PLAIN, description="As predicted.")] = ""
    created_from: Moment | None = None
    created_before: Moment | None = None
