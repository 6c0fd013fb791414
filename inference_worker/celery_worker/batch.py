"""A batch of claims on its way through the pipeline.

While one study's picture is in its forward pass, the next one's is fetched and decoded, and the files of
those before are on their way. The rows of several studies are written together, once their files are there.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from django.db import InterfaceError, OperationalError, connection

from inference_worker.celery_worker.endings import end_by
from inference_worker.celery_worker.errors import CalledOffError, OutOfTimeError
from inference_worker.celery_worker.files import end_writing, load_image, remove_files
from inference_worker.celery_worker.study import ClaimedStudy
from inference_worker.decode.isolated import DecodeProcess
from inference_worker.pipeline import Job, Pipeline
from xrayportal.analyses.models import Analysis
from xrayportal.analyses.models import Bundle as BundleRow
from xrayportal.analyses.queue import steps
from xrayportal.analyses.results import AnalysisResult
from xrayportal.celery import SOFT_SECONDS
from xrayportal.logs import log_context

logger = logging.getLogger(__name__)
trail = logging.getLogger("xrayportal.trail")

#: The rows of finished studies are written together: once they have so many views, or the first of them has
#: waited for so long, and in any case before nothing is under way any more.
_MOST_TOGETHER = 8
_LONGEST_KEPT = 0.1
#: Whether a claim is still wanted is not asked before it is so old: one that is not is noticed at its end.
_FRESH_SECONDS = 0.5
#: While a picture takes long, that is asked so often.
_LOOK_SECONDS = 1.0


class Batch:
    """Claims that one worker works on. Each of them ends or waits again, whatever happens.

    ``claims`` come in parts. A further part is asked for while the last views of the one before are under
    way, so that the network need not wait for it. ``pipeline`` gives a bundle's pipeline or raises
    `BundleError`; ``decoder`` is the one that it uses; ``has_lost`` tells whether a claim's lease could not
    be extended.
    """

    def __init__(
        self,
        claims: Iterator[Sequence[Analysis]],
        *,
        pipeline: Callable[[BundleRow], Pipeline],
        decoder: DecodeProcess,
        has_lost: Callable[[Analysis], bool],
    ) -> None:
        self._claims = claims
        self._pipeline = pipeline
        self._has_lost = has_lost
        self._studies: list[ClaimedStudy] = []
        #: Those of them that were not begun.
        self._waiting: deque[ClaimedStudy] = deque()
        #: The views that the pipeline has, oldest first, as study and position.
        self._under_way: deque[tuple[ClaimedStudy, int]] = deque()
        #: Whole studies whose rows are to be written, and since when there is one.
        self._finished: list[tuple[ClaimedStudy, AnalysisResult]] = []
        self._finished_since = 0.0
        self._deadline = monotonic() + SOFT_SECONDS
        self._next_look = 0.0
        decoder.while_waiting = self._go_on

    def work(self) -> None:
        """Complete, fail or give back every claim."""
        self._claim()
        while self._waiting and not self._is_late():
            self._work_on(self._waiting[0].claim.bundle)
        for study in self._studies:
            if not study.has_ended:  # the time was over before
                with self._step(study):
                    if study.is_begun:
                        raise OutOfTimeError
                    study.has_ended = True
                    steps.release(claims=[study.claim])

    def _claim(self) -> None:
        studies = [ClaimedStudy(claim, list(claim.study.images.all())) for claim in next(self._claims, ())]
        self._studies += studies
        self._waiting += studies

    def _work_on(self, bundle: BundleRow) -> None:
        """Take the studies of this bundle, up to the first one of another, through its pipeline."""
        try:
            pipeline = self._pipeline(bundle)
        except Exception as error:  # every study that needs the bundle ends by it
            while self._waiting and self._waiting[0].claim.bundle_id == bundle.pk:
                study = self._waiting.popleft()
                with self._step(study):
                    self._begin(study)
                    raise error
            return
        for outcome in pipeline.outcomes(self._jobs(bundle)):
            study, position = self._under_way.popleft()
            if not study.has_ended:
                with self._step(study):
                    study.take(position, outcome, pipeline.manifest.map.scale)
                    if study.is_whole:
                        self._keep(study, study.result(pipeline))
            self._store_due()
        self._store()

    def _jobs(self, bundle: BundleRow) -> Iterator[Job]:
        """Fetch the studies' views, one after the other, as long as they are wanted and there is time."""
        while (study := self._next(bundle)) is not None:
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

    def _next(self, bundle: BundleRow) -> ClaimedStudy | None:
        """The next study to begin, if it can go through this bundle's pipeline behind those under way."""
        if self._is_late():
            return None
        if not self._waiting:
            try:
                self._claim()
            except (OperationalError, InterfaceError) as error:
                logger.warning("No more work can be claimed: %s", type(error).__name__)
                connection.close()
        if not self._waiting or self._waiting[0].claim.bundle_id != bundle.pk:
            return None
        # What was claimed alone may be what killed its worker. Beside others it could blame them.
        beside = [study.claim for study, _ in self._under_way]
        if beside and any(claim.claimed_alone for claim in (*beside, self._waiting[0].claim)):
            return None
        return self._waiting.popleft()

    def _begin(self, study: ClaimedStudy) -> None:
        """Raises `CalledOffError` if nobody waits for the study any more."""
        study.is_begun = True
        is_fresh = monotonic() - study.claimed_at < _FRESH_SECONDS
        if self._has_lost(study.claim) or not (is_fresh or steps.is_current(claim=study.claim)):
            raise CalledOffError

    def _go_on(self) -> None:
        """Called now and then while a picture takes long: whether to wait for it."""
        self._store_due()
        now = monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            study, _ = self._under_way[-1]
            self._begin(study)
        if self._is_late():
            raise OutOfTimeError

    def _is_late(self) -> bool:
        return monotonic() > self._deadline

    def _keep(self, study: ClaimedStudy, result: AnalysisResult) -> None:
        if not self._finished:
            self._finished_since = monotonic()
        self._finished.append((study, result))

    def _store_due(self) -> None:
        views = sum(len(study.images) for study, _ in self._finished)
        if views >= _MOST_TOGETHER or (views and monotonic() - self._finished_since > _LONGEST_KEPT):
            self._store()

    def _store(self) -> None:
        """Write the rows of the finished studies, once their files are there.

        In one transaction, and one by one what that leaves.
        """
        for study, _ in self._finished:
            with self._step(study):
                end_writing(study.writing)
        finished = [(study, result) for study, result in self._finished if not study.has_ended]
        self._finished = []
        stored, failure = set[object](), None
        if len(finished) > 1:
            try:
                stored |= steps.complete_all([(study.claim, result) for study, result in finished])
            except (OperationalError, InterfaceError) as error:
                # They may be stored all the same: it must not look as if others had been faster.
                failure = error
            except Exception as error:  # noqa: BLE001  # each of them ends by its own error
                logger.warning(
                    "%d results cannot be stored together: %s", len(finished), type(error).__name__
                )
        for study, result in finished:
            with self._step(study):
                if failure is not None:
                    raise failure
                if study.claim.pk in stored or steps.complete(claim=study.claim, result=result):
                    trail.info("Analysis %s is done", study.claim.pk)
                else:
                    # Cancelled, taken over, or its study deleted: pictures of a person that no row names.
                    remove_files(result.views)
                study.has_ended = True

    @contextmanager
    def _step(self, study: ClaimedStudy) -> Iterator[None]:
        """What is done for one study: an error in it ends that study only."""
        with log_context(study=study.claim.study_id, analysis=study.claim.pk):
            try:
                try:
                    yield
                except (OperationalError, InterfaceError):
                    raise
                except Exception as error:  # noqa: BLE001  # the last resort: no error may end the others
                    study.has_ended = True
                    end_by(study.claim, error)
            except (OperationalError, InterfaceError) as error:
                # The database is away, so nothing can be written; the lease will run out.
                study.has_ended = True
                logger.error("Analysis %s is left to its lease: %s", study.claim.pk, type(error).__name__)
                connection.close()
