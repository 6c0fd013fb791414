"""A batch of claims on its way through the pipeline.

While one study's picture is in its forward pass, the next one's is fetched and decoded, and the files and
rows of the one before are written: all in one thread, beside the pass.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from time import monotonic

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from inference_worker.celery_worker.errors import (
    CalledOffError,
    NoViewDecodedError,
    OutOfTimeError,
    where,
)
from inference_worker.celery_worker.files import (
    StorageTroubleError,
    load_image,
    remove_files,
    without_verdict,
    write_view,
)
from inference_worker.decode.isolated import TOO_SLOW, DecodeProcess
from inference_worker.manifest import BundleError
from inference_worker.pipeline import Job, Pipeline, Result
from inference_worker.types import STAGES, UnreadableError
from inference_worker.verdict import View, judge_study
from xrayportal.analyses.models import Analysis
from xrayportal.analyses.models import Bundle as BundleRow
from xrayportal.analyses.queue import steps
from xrayportal.analyses.results import AnalysisResult, UnreadableView, ViewResult
from xrayportal.celery import SOFT_SECONDS
from xrayportal.logs import log_context
from xrayportal.studies.models import Image

logger = logging.getLogger(__name__)
trail = logging.getLogger("xrayportal.trail")

#: When so many views of a study could not be decoded in time, those not begun yet are not tried.
_MOST_SLOW = 3


class Batch:
    """Claims that one worker works on. Each of them ends or waits again, whatever happens.

    ``pipeline`` gives a bundle's pipeline or raises `BundleError`; ``decoder`` is the one that it uses;
    ``has_lost`` tells whether a claim's lease could not be extended.
    """

    def __init__(
        self,
        claims: Sequence[Analysis],
        *,
        pipeline: Callable[[BundleRow], Pipeline],
        decoder: DecodeProcess,
        has_lost: Callable[[Analysis], bool],
    ) -> None:
        self._studies = [_Study(claim, list(claim.study.images.all())) for claim in claims]
        self._pipeline = pipeline
        self._has_lost = has_lost
        #: The views that the pipeline has, oldest first, as study and position.
        self._under_way: deque[tuple[_Study, int]] = deque()
        self._deadline = monotonic() + SOFT_SECONDS
        decoder.while_waiting = self._go_on

    def work(self) -> None:
        """Complete, fail or give back every claim."""
        for _, group in groupby(self._studies, key=lambda study: study.claim.bundle_id):
            self._work_on(list(group))
        for study in self._studies:
            if not study.has_ended:  # the time was over before
                with self._step(study):
                    if study.is_begun:
                        raise OutOfTimeError
                    study.has_ended = True
                    steps.release(claims=[study.claim])

    def _work_on(self, studies: Sequence[_Study]) -> None:
        """Take studies of one bundle through its pipeline."""
        try:
            pipeline = self._pipeline(studies[0].claim.bundle)
        except Exception as error:  # every study that needs the bundle ends by it
            for study in studies:
                with self._step(study):
                    self._begin(study)
                    raise error
            return
        for outcome in pipeline.outcomes(self._jobs(studies)):
            study, position = self._under_way.popleft()
            if study.has_ended:
                continue
            with self._step(study):
                study.take(position, outcome, pipeline.manifest.map.scale)
                if study.is_whole:
                    self._complete(study, study.result(pipeline))

    def _jobs(self, studies: Sequence[_Study]) -> Iterator[Job]:
        """Fetch the studies' views, one after the other, as long as they are wanted and there is time."""
        for study in studies:
            if self._is_late():
                return
            with self._step(study):
                self._begin(study)
            claim = study.claim
            thresholds = (claim.threshold_low, claim.threshold_high)
            for position, image in enumerate(study.images):
                if study.has_ended or self._is_late():
                    break
                if study.is_slow:
                    study.pass_over(position)
                    continue
                data = None
                with self._step(study):
                    data = load_image(image)
                if data is not None:
                    self._under_way.append((study, position))
                    yield Job(data, claim.forced_body_part or None, thresholds)

    def _begin(self, study: _Study) -> None:
        """Raises `CalledOffError` if nobody waits for the study any more."""
        study.is_begun = True
        if self._has_lost(study.claim) or not steps.is_current(claim=study.claim):
            raise CalledOffError

    def _go_on(self) -> None:
        """Called every second while a picture takes long: whether to wait for it."""
        study, _ = self._under_way[-1]
        self._begin(study)
        if self._is_late():
            raise OutOfTimeError

    def _is_late(self) -> bool:
        return monotonic() > self._deadline

    def _complete(self, study: _Study, result: AnalysisResult) -> None:
        if steps.complete(claim=study.claim, result=result):
            trail.info("Analysis %s is done", study.claim.pk)
        else:
            # Cancelled, taken over, or its study deleted: pictures of a person that no row names.
            remove_files(result.views)
        study.has_ended = True

    @contextmanager
    def _step(self, study: _Study) -> Iterator[None]:
        """What is done for one study: an error in it ends that study only."""
        with log_context(study=study.claim.study_id, analysis=study.claim.pk):
            try:
                try:
                    yield
                except (OperationalError, InterfaceError):
                    raise
                except Exception as error:  # noqa: BLE001  # the last resort: no error may end the others
                    study.has_ended = True
                    _end(study.claim, error)
            except (OperationalError, InterfaceError) as error:
                # The database is away, so nothing can be written; the lease will run out.
                study.has_ended = True
                logger.error("Analysis %s is left to its lease: %s", study.claim.pk, type(error).__name__)
                connection.close()


@dataclass
class _Study:
    """What is known of one claim's study; its views by their position."""

    claim: Analysis
    images: list[Image]
    judged: dict[int, View] = field(default_factory=dict)
    views: dict[int, ViewResult] = field(default_factory=dict)
    unreadable: dict[int, UnreadableView] = field(default_factory=dict)
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
        """Write a view's files, or note why it cannot be read. Raises any other error that it is."""
        if isinstance(outcome, UnreadableError):
            self._give_up(position, outcome.kind, str(outcome))
        elif isinstance(outcome, Exception):
            raise outcome
        else:
            image = self.images[position]
            self.judged[position] = outcome.view
            self.views[position] = write_view(claim=self.claim, image=image, result=outcome, scale=scale)

    def result(self, pipeline: Pipeline) -> AnalysisResult:
        """Judge the study. Raises `NoViewDecodedError`."""
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


def _end(claim: Analysis, error: Exception) -> None:
    """End an attempt by what happened in it: the analysis fails, or waits for the next attempt."""
    match error:
        case NoViewDecodedError():
            kind, sentence = error.views[0].kind, " ".join(view.sentence for view in error.views)
            logger.info("Analysis %s failed, no view could be decoded: %s", claim.pk, kind)
            steps.fail(claim=claim, kind=kind, sentence=sentence, permanent=True, unreadable=error.views)
        case CalledOffError():
            logger.info("Analysis %s was called off", claim.pk)
        case StorageTroubleError():
            logger.warning("Analysis %s waits for the file storage: %s", claim.pk, error)
            sentence = "The file storage could not be reached for a long time."
            steps.fail(claim=claim, kind="storage", sentence=sentence, permanent=False)
        case BundleError():
            logger.error("Analysis %s waits for its bundle: %s", claim.pk, error)
            sentence = f"The bundle {claim.bundle.name} could not be loaded by the worker."
            steps.fail(claim=claim, kind="bundle", sentence=sentence, permanent=False)
        case OutOfTimeError():
            logger.error("Analysis %s ran out of time", claim.pk)
            _ran_out(claim, "too_slow", "Analysing this study took too long.")
        case MemoryError():
            logger.error("Analysis %s ran out of memory", claim.pk)
            _ran_out(claim, "out_of_memory", "Analysing this study takes more memory than its worker has.")
        case _:
            logger.error("Analysis %s failed, attempt %d: %s", claim.pk, claim.attempt, where(error))
            sentence = f"Analysing this study failed {steps.CRASHES_ALONE} times for an unknown reason."
            steps.record_crash(claim=claim, kind="unexpected", sentence=sentence)


def _ran_out(claim: Analysis, kind: str, sentence: str) -> None:
    """End an attempt that lacked time or memory: for good if it ran alone, else it is tried alone."""
    if claim.claimed_alone:
        steps.fail(claim=claim, kind=kind, sentence=sentence, permanent=True)
    else:
        steps.record_crash(claim=claim, kind=kind, sentence=sentence)


def _filename(image: Image) -> str:
    """The name that the sender gave the file, in quotation marks."""
    upload = next(iter(image.uploads.all()), None)
    return f"“{upload.filename}”" if upload else "a file"
