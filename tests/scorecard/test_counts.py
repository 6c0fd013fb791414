"""The database's counts against the same figures computed in plain Python, over random clinics."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta
from itertools import combinations
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from django.http import QueryDict
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from tests.opinions import make_access, say
from tests.scorecard.world import VERDICTS, Reader, World, dice_of, random_clinic
from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Analysis, Finding
from xrayportal.clinics.models import Role
from xrayportal.reviews.history import Filters, matching_studies
from xrayportal.reviews.models import ReferencePrediction
from xrayportal.reviews.scorecard import queries, statistics
from xrayportal.reviews.scorecard.card import Scorecard
from xrayportal.reviews.scorecard.lines import ScorecardFilter
from xrayportal.studies.models import Study

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("few_cases")]


def card_of(access: ClinicAccess, **query: object) -> Scorecard:
    address = QueryDict(mutable=True)
    address.update({name: str(value) for name, value in query.items()})
    return Scorecard(access, ScorecardFilter.read(address))


FIRST = date(2025, 9, 29)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("basis", ["blind", "all"])
@pytest.mark.parametrize("first", [None, FIRST])
def test_the_scorecard_counts_as_plain_python_does(seed: int, basis: str, first: date | None) -> None:
    world = random_clinic(seed)
    access = make_access(world.clinic, Role.ADMIN)
    period = {"from": first} if first else {}
    for bundle in world.bundles:
        card = card_of(access, bundle=bundle.pk, basis=basis, **period)
        answers = world.answers(bundle, first)
        referenced = {study: one for study, one in answers.items() if world.reference(study, basis)}
        cells = Counter(
            (
                world.consensuses[study].body_part or one.body_part,
                one.verdict,
                world.reference(study, basis),
            )
            for study, one in referenced.items()
        )
        by_part = queries.cells_of(card.scope).get(bundle.pk, {})
        assert {
            (body_part, *pair): n for body_part, cells in by_part.items() for pair, n in cells.items()
        } == cells
        assert card.analysed == len(answers) > 0
        assert card.counts.n + card.counts.left_out == len(referenced) > 0
        for model, _word, row in card.matrix:
            for readers, cell in zip(VERDICTS, row, strict=True):
                assert cell.count == sum(n for (_part, *pair), n in cells.items() if pair == [model, readers])
                assert matching_studies(access, Filters.read(QueryDict(cell.href))).count() == cell.count
        _check_calibration(card, referenced, world, basis)
        _check_agreements(card, answers, world, basis, first)
        _check_weeks(card, answers, world)
    _check_shadows(card_of(access, **period), world, first)


def _check_calibration(card: Scorecard, referenced: dict[Study, Analysis], world: World, basis: str) -> None:
    cases = sorted(
        (one.probability, world.reference(study, basis) == "abnormal")
        for study, one in referenced.items()
        if one.probability is not None and world.reference(study, basis) in ("abnormal", "normal")
    )
    assert card.calibration is not None
    bins = defaultdict(list)
    for probability, outcome in cases:
        below = sum(1 for other, _ in cases if other < probability)
        bins[below * min(10, max(1, len(cases) // statistics.LEAST_CASES)) // len(cases)].append(
            (probability, outcome)
        )
    expected = [
        (np.mean([p for p, _ in group]), np.mean([y for _, y in group]), len(group))
        for _, group in sorted(bins.items())
    ]
    bins = [(one.predicted, one.observed.value, one.observed.n) for one in card.calibration.bins]
    assert np.array(bins) == pytest.approx(np.array(expected))
    probabilities, outcomes = zip(*cases, strict=True)
    assert card.calibration.brier == pytest.approx(brier_score_loss(outcomes, probabilities))
    gap = sum(abs(predicted - observed) * n for predicted, observed, n in expected) / len(cases)
    assert card.calibration.gap == pytest.approx(gap)


def _check_agreements(
    card: Scorecard, answers: dict[Study, Analysis], world: World, basis: str, first: date | None
) -> None:
    assert card.bundle is not None
    zone = ZoneInfo(world.clinic.time_zone)
    model: dict[Reader, Counter[tuple[str, str]]] = defaultdict(Counter)
    pairs: dict[tuple[Reader, Reader], Counter[tuple[str, str]]] = defaultdict(Counter)
    for study in world.studies:
        if first and study.created_at.astimezone(zone).date() < first:
            continue
        opinions = world.opinions(study, basis)
        for reader, verdict in opinions.items():
            if study in answers:
                model[reader][answers[study].verdict, verdict] += 1
        for one, other in combinations(sorted(opinions), 2):
            pairs[one, other][opinions[one], opinions[other]] += 1
    agreements = queries.agreements_of(card.scope, card.bundle)
    assert agreements.model == model
    assert agreements.readers == pairs


def _check_weeks(card: Scorecard, answers: dict[Study, Analysis], world: World) -> None:
    zone = ZoneInfo(world.clinic.time_zone)
    weeks: dict[date, list[Analysis]] = defaultdict(list)
    for study, one in answers.items():
        day = study.created_at.astimezone(zone).date()
        weeks[day - timedelta(days=day.weekday())].append(one)
    assert [week.monday for week in card.weeks] == sorted(weeks)
    for week in card.weeks:
        here = weeks[week.monday]
        assert week.outcomes == Counter(one.verdict for one in here)
        assert week.body_parts == Counter(one.body_part for one in here if one.body_part)
        views = [view for view in world.findings if view.analysis in here]
        if not views:
            assert week.distance is None
            continue
        for quartiles, values in (
            (week.distance, [view.ood_distance for view in views]),
            (week.megapixels, [view.width * view.height / 1e6 for view in views]),
        ):
            assert quartiles == pytest.approx(tuple(np.percentile(values, [25, 50, 75])))


def _check_shadows(card: Scorecard, world: World, first: date | None) -> None:
    active, shadow = world.bundles
    expected = Counter(
        (study.current.verdict, one.verdict)
        for study, one in world.answers(shadow, first).items()
        if study.current is not None and study.current.bundle == active
    )
    [(bundle, _agreement, rows)] = card.shadows
    assert bundle == shadow
    assert rows == [
        (card.word(current), [expected[current, one] for one in VERDICTS]) for current in VERDICTS
    ]


def test_calibration_without_ties_is_scikit_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "LEAST_CASES", 10)
    world = random_clinic(4, studies=120)
    dice = dice_of(9)
    # So many digits that none is there twice.
    for analysis in Analysis.objects.filter(probability__isnull=False):
        Analysis.objects.filter(pk=analysis.pk).update(probability=dice.random())
    card = card_of(make_access(world.clinic, Role.ADMIN), basis="all")
    rows = ReferencePrediction.objects.filter(
        bundle=world.bundles[0],
        probability__isnull=False,
        study__consensus__verdict__in=["normal", "abnormal"],
    )
    predicted, verdicts = zip(*rows.values_list("probability", "study__consensus__verdict"), strict=True)
    bins = len(predicted) // 10
    assert 1 < bins < 10, "few cases make fewer bins"
    seen, mean = calibration_curve(
        [verdict == "abnormal" for verdict in verdicts], predicted, n_bins=bins, strategy="quantile"
    )

    assert card.calibration is not None
    assert [one.observed.value for one in card.calibration.bins] == pytest.approx(list(seen))
    assert [one.predicted for one in card.calibration.bins] == pytest.approx(list(mean))
    assert card.reliability is not None
    assert [int(row.n) >= 10 for row in card.reliability.rows] == [True] * bins


def test_an_admin_who_reads_counts_only_what_they_spoke_about() -> None:
    world = random_clinic(6, studies=40)
    both = make_access(world.clinic, Role.ADMIN, Role.READER)
    mine = [study for study in world.answers(world.bundles[0]) if study.current][:3]
    for study in mine:
        say(both, study)
    card = card_of(both)

    assert card.analysed == sum(week.studies for week in card.weeks) == 3
    assert card.shadows == [] or sum(row.n for _b, row, _r in card.shadows) <= 3
    assert {other for pair in queries.agreements_of(card.scope, world.bundles[0]).readers for other in pair}


@pytest.mark.parametrize("seed", [11, 12])
def test_one_answer_a_study_and_bundle_whatever_happens_to_analyses(seed: int) -> None:
    """Results are added, deleted, repeated and taken back; the rows are always those that Python computes."""
    world = random_clinic(seed, studies=30)
    dice = dice_of(seed)

    def check() -> None:
        expected = {one.pk for bundle in world.bundles for one in world.answers(bundle).values()}
        assert set(ReferencePrediction.objects.values_list("pk", flat=True)) == expected
        for answer in ReferencePrediction.objects.select_related("analysis", "study"):
            for name in (
                "verdict",
                "body_part",
                "probability",
                "purpose",
                "bundle_id",
                "study_id",
                "clinic_id",
            ):
                assert getattr(answer, name) == getattr(answer.analysis, name)
            assert answer.sent_at == answer.study.created_at

    check()
    for _ in range(12):
        analysis = dice.choice([one for one in world.analyses if one.state == "succeeded"])
        Finding.objects.filter(analysis=analysis).delete()
        if dice.random() < 0.5:
            world.analyses.remove(analysis)
            Analysis.objects.get(pk=analysis.pk).delete()
        else:
            study = analysis.study
            study.stated_body_part = dice.choice(["", "foot", "knee"])
            study.created_at += timedelta(days=1)
            Study.objects.filter(pk=study.pk).update(
                stated_body_part=study.stated_body_part, created_at=study.created_at
            )
        check()
    deleted = dice.choice([one.study for one in world.analyses if one.state == "succeeded"])
    world.analyses = [one for one in world.analyses if one.study != deleted]
    Study.objects.get(pk=deleted.pk).delete()
    check()
