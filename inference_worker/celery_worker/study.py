"""One claimed study: what is known of its views, and its result once each has been analysed or given up."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from django.conf import settings

from inference_worker.celery_worker.errors import NoViewDecodedError
from inference_worker.celery_worker.files import Writing, begin_writing, end_writing, without_verdict
from inference_worker.decode.isolated import TOO_SLOW
from inference_worker.pipeline import Pipeline, Result
from inference_worker.types import STAGES, UnreadableError
from inference_worker.verdict import View, judge_study
from xrayportal.analyses.models import Analysis
from xrayportal.analyses.results import AnalysisResult, UnreadableView, ViewResult
from xrayportal.studies.models import Image

#: When so many views of a study could not be decoded in time, those not begun yet are not tried.
_MOST_SLOW = 3


@dataclass
class ClaimedStudy:
    """What is known of one claim's study; its views by their position."""

    claim: Analysis
    images: list[Image]
    judged: dict[int, View] = field(default_factory=dict)
    views: dict[int, ViewResult] = field(default_factory=dict)
    unreadable: dict[int, UnreadableView] = field(default_factory=dict)
    claimed_at: float = field(default_factory=monotonic)
    #: Its views' files, which must be there before its rows.
    writing: Writing = field(default_factory=dict)
    is_begun: bool = False
    has_ended: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether every view has been analysed or given up."""
        return len(self.views) + len(self.unreadable) == len(self.images)

    @property
    def is_slow(self) -> bool:
        """Whether so many views took too long that the others are not tried."""
        return sum(view.kind == TOO_SLOW for view in self.unreadable.values()) >= _MOST_SLOW

    def pass_over(self, position: int) -> None:
        """Do not try this view."""
        sentence = f"It was not decoded, since {_MOST_SLOW} other views of the study took too long."
        self._give_up(position, TOO_SLOW, sentence)

    def take(self, position: int, outcome: Result | Exception, scale: float) -> None:
        """Begin to write a view's files, or note why it cannot be read. Raises any other error that it is."""
        if isinstance(outcome, UnreadableError):
            self._give_up(position, outcome.kind, str(outcome))
        elif isinstance(outcome, Exception):
            raise outcome
        else:
            image = self.images[position]
            self.judged[position] = outcome.view
            self.views[position], writing = begin_writing(
                claim=self.claim, image=image, result=outcome, scale=scale
            )
            self.writing |= writing

    def result(self, pipeline: Pipeline) -> AnalysisResult:
        """Judge the study. Raises `NoViewDecodedError`, `StorageTroubleError`."""
        claim, manifest = self.claim, pipeline.manifest
        positions = range(len(self.images))
        unreadable = [self.unreadable[position] for position in positions if position in self.unreadable]
        views = [self.views[position] for position in positions if position in self.views]
        if not views:
            raise NoViewDecodedError(unreadable)
        study = judge_study(
            [self.judged.get(position) for position in positions],
            low=claim.threshold_low,
            high=claim.threshold_high,
            even=manifest.thresholds.even,
            aggregate=manifest.aggregate,
            forced_body_part=claim.forced_body_part or None,
            unjudged=manifest.unjudged,
        )
        if study.reason:
            end_writing(self.writing)
            views = [without_verdict(view, study.reason) for view in views]
        return AnalysisResult(
            verdict=study.verdict,
            reason=study.reason,
            leaning=study.leaning or "",
            body_part=study.body_part or "",
            body_parts=dict(study.body_parts),
            probability=study.probability,
            views=views,
            unreadable=unreadable,
            runtime=f"{pipeline.runtime.name} {pipeline.runtime.version}",
            precision=pipeline.runtime.precision,
            software=settings.VERSION,
            milliseconds={
                stage: round(sum(view.milliseconds[stage] for view in views), 2) for stage in STAGES
            },
        )

    def _give_up(self, position: int, kind: str, sentence: str) -> None:
        image = self.images[position]
        self.unreadable[position] = UnreadableView(image.pk, kind, _filename(image), sentence)


def _filename(image: Image) -> str:
    """The name that the sender gave the file, in quotation marks."""
    upload = next(iter(image.uploads.all()), None)
    return f"“{upload.filename}”" if upload else "a file"
