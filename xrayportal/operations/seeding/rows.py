"""Made-up rows with the spread of a real clinic: submissions, studies, results and opinions."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from random import Random

from django.db import models

from xrayportal.analyses.models import Analysis, Bundle, Finding, Verdict
from xrayportal.clinics.models import Clinic, User
from xrayportal.operations.seeding.pictures import HEIGHT, WIDTH, SharedFiles
from xrayportal.reviews.consensus import derive_consensus
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Image, Queue, Study, Submission, Upload

#: Every seeded study's grouping key begins so.
MARK = "seed-"
WORKER = "seed"
#: Shares of the model's verdicts, about those of MURA and FracAtlas taken together.
VERDICTS = {Verdict.NORMAL: 70, Verdict.ABNORMAL: 20, Verdict.UNCERTAIN: 8, Verdict.UNSUPPORTED: 2}
#: Files of a submission: mostly a few, now and then a folder of them.
SIZES = ((0.75, 1, 6), (0.95, 8, 60), (1.0, 150, 800))
#: Median milliseconds of the stages.
STAGES = {"decode": 6.0, "preprocess": 2.0, "infer": 30.0, "render": 8.0}
_KINDS = (
    ("truncated", "Could not read the file: it ends before its pixels."),
    ("too_large", "Could not read the file: it has more pixels than are taken."),
    ("worker_died", "The worker process died 3 times on this file."),
)


@dataclass(frozen=True)
class Setting:
    """What the rows refer to. ``now`` is the end of the ``days`` that they spread over."""

    clinic: Clinic
    bundle: Bundle
    uploaders: Sequence[User]
    readers: Sequence[User]
    files: SharedFiles
    now: datetime
    days: int
    waiting: int


@dataclass
class Batch:
    """Rows of some whole submissions, by model."""

    submissions: list[Submission] = field(default_factory=list)
    studies: list[Study] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    uploads: list[Upload] = field(default_factory=list)
    analyses: list[Analysis] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    consensuses: list[Consensus] = field(default_factory=list)

    def tables(self) -> Iterator[Sequence[models.Model]]:
        """The lists in the order of insertion: a study's current result must be there before the study."""
        yield self.submissions
        yield self.analyses
        yield self.studies
        yield self.images
        yield self.uploads
        yield self.findings
        yield self.reviews
        yield self.consensuses


class Rows:
    """Makes the rows in batches; the same ``seed`` makes the same spread, with other ids."""

    def __init__(self, setting: Setting, *, studies: int, seed: int) -> None:
        self._set = setting
        self._total = studies
        self._made = 0
        self._random = Random(seed)  # noqa: S311  made-up rows, no secrets
        self._run = uuid.uuid4().hex[:12]

    def batches(self, size: int) -> Iterator[Batch]:
        """Batches of whole submissions with at least ``size`` studies each, until all are made."""
        while self._made < self._total:
            batch = Batch()
            while len(batch.studies) < size and self._made < self._total:
                self._submission(batch)
            yield batch

    def _submission(self, batch: Batch) -> None:
        # The first ones are the newest: they wait.
        waits = self._made < self._set.waiting
        share = self._random.random()
        least, most = next((least, most) for limit, least, most in SIZES if share <= limit)
        count = min(self._random.randint(least, most), self._total - self._made)
        if waits:
            count = min(count, self._set.waiting - self._made)
        begun = self._set.now - (timedelta(seconds=self._random.uniform(30, 600)) if waits else self._age())
        submission = Submission(
            clinic=self._set.clinic,
            submitter=self._random.choice(self._set.uploaders),
            state=Submission.State.FINISHED,
            queue=Queue.INTERACTIVE if count <= 20 else Queue.BULK,
            expected_files=count,
            created_at=begun,
            last_upload_at=begun + timedelta(seconds=count),
            finished_at=begun + timedelta(seconds=count + 1),
        )
        batch.submissions.append(submission)
        for number in range(count):
            self._study(batch, submission, begun + timedelta(seconds=number), waits=waits)
        if self._random.random() < 0.1:
            self._rejected(batch, submission, begun)

    def _age(self) -> timedelta:
        """A random age: more of late than long ago, by day rather than by night."""
        day = int(self._set.days * self._random.random() ** 1.3)
        hour = min(23.9, max(0.1, self._random.gauss(13, 3)))
        return timedelta(days=day + 1, hours=-hour)

    def _study(self, batch: Batch, submission: Submission, at: datetime, *, waits: bool) -> None:
        number = self._made
        self._made += 1
        patient = self._random.randrange(self._total // 3 + 1)
        reference = f"NH-{patient:06}" if self._random.random() < 0.7 else ""
        study = Study(
            clinic=self._set.clinic,
            submission=submission,
            grouping_key=f"{MARK}{self._run}-{number}",
            patient_reference=reference,
            state=Study.State.SEALED,
            created_at=at,
            last_view_at=at,
            sealed_at=at + timedelta(seconds=1),
        )
        batch.studies.append(study)
        views = [self._image(batch, study, at, number, view) for view in range(self._view_count())]
        if self._random.random() < 0.02 and not waits:
            self._analysis(batch, study, views, at, Analysis.State.FAILED)
            at += timedelta(hours=1)
        chance = self._random.random()
        if waits:
            state = Analysis.State.QUEUED
        elif chance < 0.004:
            state = Analysis.State.FAILED
        elif chance < 0.006:
            state = Analysis.State.CANCELLED
        else:
            state = Analysis.State.SUCCEEDED
        analysis = self._analysis(batch, study, views, at, state)
        if state == Analysis.State.SUCCEEDED:
            study.current = analysis
            if self._random.random() < 0.15:
                self._opinions(batch, study, analysis)

    def _view_count(self) -> int:
        return self._random.choices((1, 2, 3), (70, 25, 5))[0]

    def _image(self, batch: Batch, study: Study, at: datetime, number: int, view: int) -> Image:
        files = self._set.files
        image = Image(
            clinic=self._set.clinic,
            study=study,
            sha256=hashlib.sha256(f"{self._run}-{number}-{view}".encode()).hexdigest(),
            file=files.original,
            media_type="image/png",
            size=files.size,
            created_at=at + timedelta(milliseconds=view),
        )
        batch.images.append(image)
        batch.uploads.append(
            Upload(
                submission=study.submission,
                key=f"{number}-{view}",
                filename=f"IMG{number:07}_{view}.png",
                size=files.size,
                outcome=Upload.Outcome.ACCEPTED,
                image=image,
                created_at=image.created_at,
            )
        )
        return image

    def _rejected(self, batch: Batch, submission: Submission, at: datetime) -> None:
        batch.uploads.append(
            Upload(
                submission=submission,
                key="rejected",
                filename="notes.txt",
                size=120,
                outcome=Upload.Outcome.REJECTED,
                kind="not_a_picture",
                sentence="notes.txt is not a picture that the portal reads.",
                created_at=at,
            )
        )

    def _analysis(
        self, batch: Batch, study: Study, views: Sequence[Image], at: datetime, state: Analysis.State
    ) -> Analysis:
        bundle, random = self._set.bundle, self._random
        low, high = bundle.thresholds["low"], bundle.thresholds["high"]
        requested_at = at + timedelta(seconds=1)
        analysis = Analysis(
            clinic=self._set.clinic,
            study=study,
            bundle=bundle,
            requested_by=study.submission.submitter,
            requested_at=requested_at,
            not_before=requested_at,
            threshold_low=low,
            threshold_high=high,
            state=state,
            queue=study.submission.queue,
            views=len(views),
        )
        batch.analyses.append(analysis)
        if state == Analysis.State.QUEUED:
            return analysis
        spent = {
            stage: round(len(views) * random.lognormvariate(0, 0.35) * middle, 2)
            for stage, middle in STAGES.items()
        }
        analysis.attempt, analysis.worker = 1, WORKER
        analysis.started_at = requested_at + timedelta(seconds=random.lognormvariate(1, 1))
        analysis.finished_at = analysis.started_at + timedelta(milliseconds=sum(spent.values()) + 60)
        if state == Analysis.State.FAILED:
            analysis.error_kind, analysis.error_sentence = random.choice(_KINDS)
        if state == Analysis.State.SUCCEEDED:
            analysis.milliseconds, analysis.runtime = spent, "openvino"
            analysis.precision, analysis.software = "f32", "seed"
            analysis.verdict = random.choices(list(VERDICTS), list(VERDICTS.values()))[0]
            self._result(batch, analysis, views)
        return analysis

    def _result(self, batch: Batch, analysis: Analysis, views: Sequence[Image]) -> None:
        random, files = self._random, self._set.files
        low, high = analysis.threshold_low, analysis.threshold_high
        ranges = {
            Verdict.NORMAL: (0.0, low),
            Verdict.UNCERTAIN: (low, high),
            Verdict.ABNORMAL: (high, 1.0),
        }
        is_supported = analysis.verdict != Verdict.UNSUPPORTED
        if is_supported:
            first, second = random.sample(self._set.bundle.body_parts, 2)
            analysis.body_part, analysis.body_parts = first, {first: 0.93, second: 0.07}
            analysis.probability = round(random.uniform(*ranges[Verdict(analysis.verdict)]), 4)
        for image in views:
            batch.findings.append(
                Finding(
                    analysis=analysis,
                    image=image,
                    verdict=analysis.verdict,
                    body_parts=analysis.body_parts,
                    probability=analysis.probability,
                    peak_x=WIDTH // 2 if is_supported else None,
                    peak_y=HEIGHT // 2 if is_supported else None,
                    trust=round(random.uniform(0.2, 1), 3) if is_supported else None,
                    ood_distance=round(random.uniform(0.2, 1), 3),
                    width=WIDTH,
                    height=HEIGHT,
                    display_file=files.display,
                    thumbnail_file=files.thumbnail,
                    overlay_file=files.overlay if is_supported else "",
                    map_file=files.map if is_supported else "",
                    milliseconds=analysis.milliseconds,
                )
            )

    def _opinions(self, batch: Batch, study: Study, analysis: Analysis) -> None:
        readers = self._random.sample(list(self._set.readers), 3)
        at = (analysis.finished_at or self._set.now) + timedelta(minutes=self._random.uniform(2, 60))
        reviews = [self._opinion(study, analysis, readers[0], Review.Kind.FIRST, at)]
        if self._random.random() < 0.25:
            at += timedelta(hours=2)
            reviews.append(self._opinion(study, analysis, readers[1], Review.Kind.SECOND, at))
        if len({review.verdict for review in reviews}) > 1 and self._random.random() < 0.6:
            at += timedelta(hours=20)
            reviews.append(self._opinion(study, analysis, readers[2], Review.Kind.ADJUDICATION, at))
        derived = derive_consensus(reviews)
        batch.reviews += reviews
        batch.consensuses.append(
            Consensus(
                study=study,
                clinic=study.clinic,
                changed_at=at,
                **asdict(derived),
            )
        )

    def _opinion(
        self, study: Study, analysis: Analysis, reader: User, kind: Review.Kind, at: datetime
    ) -> Review:
        agrees = self._random.random() < 0.88
        other = [Verdict.NORMAL, Verdict.ABNORMAL]
        was_blind = self._random.random() < 0.7
        return Review(
            clinic=study.clinic,
            study=study,
            reader=reader,
            kind=kind,
            analysis=None if was_blind else analysis,
            was_blind=was_blind,
            verdict=analysis.verdict if agrees else self._random.choice(other),
            created_at=at,
            signed_at=at,
        )
