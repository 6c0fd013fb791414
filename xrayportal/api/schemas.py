"""What operations take and answer. Moments are ISO 8601 in UTC; probabilities are calibrated, from 0 to 1."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from django.db.models import TextChoices
from ninja import Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field, WithJsonSchema

from xrayportal.analyses.models import Analysis, Leaning, Reason, Verdict
from xrayportal.reviews import models as reviews
from xrayportal.reviews.entries import MAX_BOXES, MAX_COMMENT, MAX_SIDE
from xrayportal.studies import models as studies
from xrayportal.studies.models import Grouping, Queue

_DATED = re.compile(r"\d{4}-\d\d-\d\dT")
#: Text that PostgreSQL keeps: anything but the null character.
PLAIN = r"^[^\x00]*$"


def _dated(value: object) -> object:
    if isinstance(value, str) and not _DATED.match(value):
        raise ValueError("a moment as of ISO 8601, such as 2026-11-26T08:00:00Z")
    return value


def _number(value: object) -> object:
    if isinstance(value, str | bool):
        raise ValueError("a whole number")
    return value


def _representable(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("a moment that UTC cannot express") from None


#: The state of a study's newest analysis; ``receiving`` before the first.
Status = Literal["receiving", "queued", "running", "succeeded", "failed", "cancelled"]
Moment = Annotated[AwareDatetime, BeforeValidator(_dated), AfterValidator(_representable)]
#: JSON's own: a text is no number (comes last, after the limits), and a number no truth.
WHOLE = BeforeValidator(_number)
Truth = Annotated[bool, Field(strict=True)]


def one_of(choices: type[TextChoices]) -> WithJsonSchema:
    """How the document describes a text that is one of these."""
    return WithJsonSchema({"type": "string", "enum": list(choices.values)})


def one_of_or_none(choices: type[TextChoices]) -> WithJsonSchema:
    """The same for a text that may also be empty."""
    return WithJsonSchema({"type": "string", "enum": ["", *choices.values]})


class Input(Schema):
    """A body that is sent: a name that is not known is an error."""

    model_config = ConfigDict(extra="forbid")


class TokenInfo(Schema):
    """The token of the request, and what it may do."""

    name: str
    clinic: str
    clinic_name: str
    roles: list[str]
    scopes: list[str]
    expires_at: datetime
    reads_blind: Annotated[
        bool, Field(description="Predictions are hidden until a verdict of one's own is saved.")
    ]


# --- submissions ---


class NewSubmission(Input):
    """A submission to open."""

    expected_files: Annotated[
        int, Field(ge=0, le=100_000, description="How many files will come."), WHOLE
    ] = 0
    grouping: Annotated[
        Grouping, Field(description="Which files are views of one study; DICOM goes by its study UID.")
    ] = Grouping.FOLDERS
    queue: Annotated[
        Queue | None,
        Field(description="`bulk` waits behind interactive work; by itself, bulk from 21 files on."),
    ] = None
    continues: Annotated[
        uuid.UUID | None,
        Field(description="One's own finished submission: files of its folders join the same studies."),
    ] = None


class Submission(Schema):
    """Files that were sent in one go."""

    id: uuid.UUID
    state: Annotated[str, one_of(studies.Submission.State)]
    source: str
    grouping: Grouping
    queue: Queue
    expected_files: int
    created_at: datetime
    finished_at: datetime | None


class FileCounts(Schema):
    """Files by outcome."""

    accepted: int
    duplicate: int
    rejected: int
    applied: int


class StudyCounts(Schema):
    """Studies by the state of their newest analysis; the others wait or run."""

    total: int
    succeeded: int
    failed: int
    cancelled: int


class SubmissionDetail(Submission):
    """A submission with its progress."""

    files: FileCounts
    studies: StudyCounts
    is_final: Annotated[bool, Field(description="Nothing of it changes by itself any more.")]
    position: Annotated[int, Field(description="Place of its last waiting study in the queue; 0 for none.")]


class SubmissionPage(Schema):
    """A page of submissions, newest first."""

    items: list[Submission]
    next: str | None


class Upload(Schema):
    """One file of a submission and its outcome."""

    id: uuid.UUID
    key: str
    filename: str
    size: int
    outcome: Annotated[str, one_of(studies.Upload.Outcome)]
    kind: Annotated[str, Field(description="Why it was rejected, as a code; empty otherwise.")]
    sentence: Annotated[
        str, Field(description="The same for people, or what was done with an archive or CSV.")
    ]
    image: uuid.UUID | None
    study: uuid.UUID | None
    created_at: datetime


class NewUpload(Upload):
    """The file that was sent, with those that were inside it if it is an archive."""

    inside: list[Upload] = []


class UploadPage(Schema):
    """A page of files, newest first."""

    items: list[Upload]
    next: str | None


# --- studies and results ---


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


class NewAnalysis(Input):
    """An analysis to request."""

    forced_body_part: Annotated[
        str, Field(max_length=32, pattern=PLAIN, description="Instead of the body part that the model finds.")
    ] = ""


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
    milliseconds: Annotated[dict[str, float], Field(description="By stage, summed over views.")]
    runtime: str
    precision: str


class AnalysisList(Schema):
    """All analyses of a study, newest first."""

    items: list[AnalysisSummary]


# --- reviews ---


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


# --- audit ---


class Event(Schema):
    """One link of the clinic's audit chain."""

    number: int
    at: datetime
    actor: str
    action: str
    target_kind: str
    target: str
    study: uuid.UUID | None
    detail: dict[str, Any]
    address: str | None
    previous: str
    hash: str


class EventPage(Schema):
    """A page of events in the order of the chain. `next` also leads to events that are still to come."""

    items: list[Event]
    next: str | None
