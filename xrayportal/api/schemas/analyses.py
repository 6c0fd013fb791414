"""What operations take and tell of analyses and findings. Probabilities are calibrated, from 0 to 1."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated

from ninja import Schema
from pydantic import Field

from xrayportal.analyses.models import Analysis, Leaning, Reason, Verdict
from xrayportal.api.schemas.fields import PLAIN, Input, one_of, one_of_or_none


class NewAnalysis(Input):
    """An analysis to request."""

    forced_body_part: Annotated[
        str, Field(max_length=32, pattern=PLAIN, description="Instead of the body part that the model finds.")
    ] = ""


class Result(Schema):
    """A study's prediction."""

    analysis: uuid.UUID
    verdict: Verdict
    verdict_words: str
    leaning: Annotated[str, one_of_or_none(Leaning)]
    reason: Annotated[str, one_of_or_none(Reason)]
    body_part: str
    probability: float | None
    threshold_low: float
    threshold_high: float
    clinic_setting: Annotated[bool, Field(description="The thresholds are the clinic's own.")]
    is_incomplete: Annotated[bool, Field(description="Some views could not be read.")]
    bundle: str
    analysed_at: datetime
    notice: str = "Research use only. Not a diagnosis."


class Peak(Schema):
    """A point of a picture, in displayed pixels."""

    x: int
    y: int


class FindingFiles(Schema):
    """Addresses of a finding's files; null where there is none, or where it is hidden."""

    display: str
    thumbnail: str
    depth: Annotated[str | None, Field(description="The picture at its stored depth.")]
    overlay: Annotated[str | None, Field(description="The heatmap as a transparent picture.")]
    map: Annotated[str | None, Field(description="The heatmap's values as JSON.")]


class Finding(Schema):
    """The result for one view. What tells of the prediction is null while it is hidden."""

    id: uuid.UUID
    image: uuid.UUID
    analysis: uuid.UUID
    is_hidden: bool
    verdict: Verdict | None
    leaning: Annotated[str | None, Field(description="Of an uncertain result; empty for any other.")]
    reason: Annotated[str | None, Field(description="Why there is no probability, as a code; or empty.")]
    location: Annotated[str | None, Field(description="How much the heatmap's peak stands out, as a code.")]
    probability: float | None
    body_parts: dict[str, float] | None
    peak: Peak | None
    trust: float | None
    ood_distance: float | None
    width: Annotated[int, Field(description="Displayed pixels.")]
    height: Annotated[int, Field(description="Displayed pixels.")]
    notes: Annotated[list[str], Field(description="What was left out or changed to show it, as codes.")]
    spacing: Annotated[list[float] | None, Field(description="Millimetres per pixel: row, column.")]
    files: FindingFiles


class UnreadableView(Schema):
    """A view that could not be read, and why."""

    image: uuid.UUID
    kind: str
    sentence: str


class AnalysisSummary(Schema):
    """One request to analyse a study, and its outcome."""

    id: uuid.UUID
    study: uuid.UUID
    state: Annotated[str, one_of(Analysis.State)]
    bundle: str
    forced_body_part: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error_kind: str
    error: str
    is_hidden: bool
    result: Result | None


class AnalysisDetail(AnalysisSummary):
    """An analysis with its findings, one a view."""

    findings: list[Finding]
    unreadable: list[UnreadableView]
    milliseconds: Annotated[
        dict[str, float], Field(description="By stage, summed over views; none while hidden.")
    ]
    runtime: str
    precision: str


class AnalysisList(Schema):
    """All analyses of a study, newest first."""

    items: list[AnalysisSummary]
