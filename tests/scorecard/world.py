"""A random clinic with every kind of analysis and review, and its figures in plain Python."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.factories import PARTS, make_bundle, make_clinic, make_submission
from tests.opinions import make_access
from xrayportal.analyses.models import Analysis, Bundle, Finding, Verdict
from xrayportal.clinics.models import Clinic, User
from xrayportal.operations.seeding.copying import copy_rows
from xrayportal.reviews.consensus import derive_consensus
from xrayportal.reviews.models import Consensus, Review
from xrayportal.studies.models import Image, Study

VERDICTS = Verdict.values
Reader = int


@dataclass
class World:
    """A clinic's rows, kept in Python."""

    clinic: Clinic
    bundles: list[Bundle]
    studies: list[Study] = field(default_factory=list)
    analyses: list[Analysis] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    reviews: dict[Study, list[Review]] = field(default_factory=lambda: defaultdict(list))
    consensuses: dict[Study, Consensus] = field(default_factory=dict)

    def answers(self, bundle: Bundle, first: date | None = None) -> dict[Study, Analysis]:
        """The newest succeeded analysis of each study with no part but the sender's."""
        zone = ZoneInfo(self.clinic.time_zone)
        newest: dict[Study, Analysis] = {}
        for analysis in sorted(self.analyses, key=lambda one: one.requested_at):
            if first and analysis.study.created_at.astimezone(zone).date() < first:
                continue
            own = analysis.forced_body_part in ("", analysis.study.stated_body_part)
            if analysis.bundle == bundle and analysis.state == "succeeded" and own:
                newest[analysis.study] = analysis
        return newest

    def reference(self, study: Study, basis: str) -> str:
        """The readers' verdict, empty without any."""
        consensus = self.consensuses.get(study)
        return "" if consensus is None else consensus.blind_verdict if basis == "blind" else consensus.verdict

    def opinions(self, study: Study, basis: str) -> dict[Reader, str]:
        """The last blind or the signed opinion of each reader who signed, adjudications left out."""
        chains: dict[Reader, list[Review]] = defaultdict(list)
        for review in self.reviews[study]:
            if review.kind != Review.Kind.ADJUDICATION:
                chains[review.reader_id].append(review)
        opinions = {}
        for reader, chain in chains.items():
            if chain[-1].signed_at is None:
                continue
            kept = [one for one in chain if one.was_blind] if basis == "blind" else chain[-1:]
            if kept:
                opinions[reader] = kept[-1].verdict
        return opinions


def dice_of(seed: int) -> random.Random:
    """A random generator that gives the same numbers for the same seed."""
    return random.Random(seed)  # noqa: S311  a spread for tests, no secret


def random_clinic(seed: int, studies: int = 160) -> World:
    """Re-runs, corrected and stated parts, failures, shadows, drafts, changes of mind, adjudications."""
    dice = dice_of(seed)
    clinic = make_clinic(blind_first=True, time_zone="Pacific/Auckland")
    submission = make_submission(clinic)
    readers = [make_access(clinic).user for _ in range(4)]
    world = World(clinic, [make_bundle(), make_bundle(is_active=False)])
    start = datetime(2025, 9, 1, tzinfo=UTC)
    for number in range(studies):
        study = Study(
            clinic=clinic,
            submission=submission,
            grouping_key=f"random-{seed}-{number}",
            state="sealed",
            stated_body_part=dice.choice(["", "", "", "knee"]),
            created_at=(at := start + timedelta(hours=dice.uniform(0, 70 * 24))),
            last_view_at=at,
        )
        world.studies.append(study)
        for _ in range(dice.choice([0, 1, 1, 1, 2, 3])):
            at += timedelta(minutes=dice.uniform(1, 50))
            _add_analysis(world, dice, study, at)
        _add_reviews(world, dice, study, readers)
    _store(world)
    return world


def _add_analysis(world: World, dice: random.Random, study: Study, at: datetime) -> None:
    state = dice.choice(["succeeded"] * 8 + ["failed", "cancelled"])
    bundle = world.bundles[dice.random() < 0.35]
    verdict = dice.choice(VERDICTS) if state == "succeeded" else ""
    is_supported = verdict not in ("", "unsupported")
    world.analyses.append(
        Analysis(
            clinic=world.clinic,
            study=study,
            bundle=bundle,
            purpose="primary" if bundle.is_active else "shadow",
            forced_body_part=dice.choice(["", "", "", study.stated_body_part, "foot"]),
            requested_at=at,
            not_before=at,
            threshold_low=0.2,
            threshold_high=0.7,
            state=state,
            finished_at=at,
            error_sentence="Cut short." if state == "failed" else "",
            verdict=verdict,
            body_part=dice.choice(PARTS[:4]) if is_supported else "",
            # Rounded: equal probabilities must stay in one bin of the calibration.
            probability=round(dice.random(), 2) if is_supported else None,
        )
    )


def _add_reviews(world: World, dice: random.Random, study: Study, readers: list[User]) -> None:
    at = study.created_at + timedelta(hours=2)
    for reader in dice.sample(readers, dice.choice([0, 1, 1, 2, 3])):
        kind = "adjudication" if len({r.verdict for r in world.reviews[study]}) > 1 else "first"
        verdicts = [dice.choice(VERDICTS[:3]) for _ in range(dice.choice([1, 1, 2, 3]))]
        blind = dice.choice([0, 1, 1, 2])
        before: Review | None = None
        for place, verdict in enumerate(verdicts):
            at += timedelta(minutes=5)
            last = place == len(verdicts) - 1
            before = Review(
                clinic=world.clinic,
                study=study,
                reader=reader,
                kind=kind,
                was_blind=place < blind,
                verdict=verdict,
                body_part=dice.choice(["", "", "wrist"]),
                created_at=at,
                signed_at=at if last and dice.random() < 0.8 else None,
                is_current=last,
                supersedes=before,
            )
            world.reviews[study].append(before)


def _store(world: World) -> None:
    """Store all rows at once, with the times that they have."""
    current: dict[Study, Analysis] = {}
    for analysis in sorted(world.analyses, key=lambda one: one.requested_at):
        if analysis.state == "succeeded" and analysis.purpose == "primary":
            current[analysis.study] = analysis
    dice = dice_of(5)
    images = [
        Image(
            clinic=world.clinic,
            study=study,
            sha256=f"{place}-{study.pk}",
            file="none",
            size=1,
            created_at=study.created_at,
        )
        for study in world.studies
        for place in range(2)
    ]
    for study, analysis in current.items():
        study.current = analysis
    # Copied, not saved: the rows keep the times that they say. A study's result is there before it.
    copy_rows([study for study in world.studies if study not in current])
    copy_rows(world.analyses)
    copy_rows([study for study in world.studies if study in current])
    copy_rows(images)
    copy_rows([review for chain in world.reviews.values() for review in chain])
    views = defaultdict(list)
    for image in images:
        views[image.study_id].append(image)
    world.findings = [
        Finding(
            analysis=analysis,
            image=image,
            verdict=analysis.verdict,
            probability=analysis.probability,
            ood_distance=dice.random(),
            width=dice.randint(200, 3000),
            height=dice.randint(200, 3000),
            display_file="none",
            thumbnail_file="none",
        )
        for analysis in world.analyses
        if analysis.state == "succeeded"
        for image in views[analysis.study_id][: dice.choice([1, 2])]
    ]
    Finding.objects.bulk_create(world.findings)
    for study, chain in world.reviews.items():
        if chain:
            derived = derive_consensus(chain)
            world.consensuses[study] = Consensus(
                study=study,
                clinic=world.clinic,
                state=derived.state,
                verdict=derived.verdict,
                blind_verdict=derived.blind_verdict,
                body_part=derived.body_part,
                readers=derived.readers,
            )
    Consensus.objects.bulk_create(world.consensuses.values())
