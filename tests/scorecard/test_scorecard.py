"""The scorecard's figures from real rows: references, uncertain, matrix links, agreement, drift, shadow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.factories import make_analysis, make_bundle, make_clinic, make_study
from tests.opinions import make_access, say
from xrayportal.access import ClinicAccess
from xrayportal.analyses.models import Analysis
from xrayportal.clinics.models import Clinic, Role
from xrayportal.reviews.history import Filters, matching_studies
from xrayportal.reviews.scorecard.card import Scorecard
from xrayportal.reviews.scorecard.lines import ScorecardFilter
from xrayportal.reviews.scorecard.statistics import FourFold
from xrayportal.studies.models import Study

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic() -> Clinic:
    return make_clinic(blind_first=True)


def read(access: ClinicAccess, **query: object) -> Scorecard:
    address = QueryDict(mutable=True)
    address.update({name: str(value) for name, value in query.items()})
    return Scorecard(access, ScorecardFilter.read(address))


def case(reader: ClinicAccess, model: str, blind: str, final: str = "", **analysis: Any) -> Study:
    """A study that the reader judged blind and then, having seen the prediction, perhaps otherwise."""
    study = make_study(reader.clinic)
    make_analysis(study, verdict=model, **analysis)
    say(reader, study, blind, sign=False)
    say(reader, study, final or blind)
    return study


def test_counts_against_blind_opinions_and_against_signed_ones(clinic: Clinic, admin: ClinicAccess) -> None:
    reader = make_access(clinic)
    case(reader, "abnormal", "abnormal")
    case(reader, "abnormal", "normal", "abnormal")
    case(reader, "normal", "normal")
    case(reader, "uncertain", "abnormal")
    case(reader, "abnormal", "uncertain", "abnormal")
    make_analysis(make_study(clinic), verdict="normal")

    blind = read(admin)
    assert blind.counts == FourFold(2, 1, 0, 1, left_out=1)
    assert (blind.analysed, blind.counts.n + blind.counts.left_out) == (6, 5)
    assert read(admin, uncertain="normal").counts == FourFold(1, 1, 1, 1, left_out=1)
    assert read(admin, uncertain="left-out").counts == FourFold(1, 1, 0, 1, left_out=2)
    assert read(admin, basis="all").counts == FourFold(4, 0, 0, 1)


def test_drafts_and_open_disagreements_are_no_reference(clinic: Clinic, admin: ClinicAccess) -> None:
    first, second, third = (make_access(clinic) for _ in range(3))
    drafted = make_study(clinic)
    make_analysis(drafted)
    say(first, drafted, "abnormal", sign=False)
    split = case(first, "abnormal", "abnormal")
    say(second, split, "normal")
    assert read(admin).counts.n == 0

    say(third, split, "normal", adjudicates=True)
    assert read(admin).counts == FourFold(0, 1, 0, 0)


def test_every_field_of_the_matrix_opens_its_cases(clinic: Clinic, admin: ClinicAccess) -> None:
    reader = make_access(clinic)
    for model, readers in [("abnormal", "abnormal"), ("abnormal", "normal"), ("uncertain", "normal")] * 2:
        case(reader, model, readers)
    for basis in ("blind", "all"):
        card = read(admin, basis=basis, **{"from": "2020-01-01"})
        total = 0
        for _code, _word, cells in card.matrix:
            for cell in cells:
                assert matching_studies(admin, Filters.read(QueryDict(cell.href))).count() == cell.count
                total += cell.count
        assert total == 6


def test_a_corrected_part_counts_for_the_part_and_its_rerun_does_not(
    clinic: Clinic, admin: ClinicAccess
) -> None:
    reader = make_access(clinic)
    study = make_study(clinic)
    make_analysis(study, verdict="normal", body_part="hand")
    say(reader, study, "abnormal", body_part="wrist")
    Analysis.objects.filter(state=Analysis.State.QUEUED).delete()
    make_analysis(study, verdict="abnormal", body_part="wrist", forced_body_part="wrist")

    card = read(admin)

    assert [line.label for line in card.by_body_part] == ["Wrist"]
    assert card.counts == FourFold(0, 0, 1, 0)


def test_a_part_stated_by_the_sender_counts(clinic: Clinic, admin: ClinicAccess) -> None:
    study = make_study(clinic, stated_body_part="knee")
    make_analysis(study, verdict="abnormal", body_part="knee", forced_body_part="knee")
    say(make_access(clinic), study, "abnormal")

    assert read(admin).counts.n == 1


@pytest.mark.usefixtures("few_cases")
def test_readers_with_the_model_and_with_each_other(clinic: Clinic, admin: ClinicAccess) -> None:
    first, second = make_access(clinic, last_name="Alpha"), make_access(clinic, last_name="Beta")
    for model, one, other in [
        ("abnormal", "abnormal", "abnormal"),
        ("abnormal", "normal", "abnormal"),
        ("normal", "normal", "normal"),
        ("normal", "normal", "normal"),
    ]:
        say(second, case(first, model, one), other)
    card = read(admin)

    assert [(row.label, row.n) for row in card.with_model] == [("Alpha", 4), ("Beta", 4)]
    alpha, beta = (row.kappa for row in card.with_model)
    assert alpha is not None
    assert beta is not None
    assert (alpha.value, beta.value) == ("0.50", "1.00")
    pair = card.with_each_other[0]
    assert (pair.label, pair.n) == ("Alpha · Beta", 4)
    assert pair.same is not None
    assert pair.same.value == "0.75"


@pytest.mark.usefixtures("few_cases")
def test_verification_bias_is_named_by_the_shares_reviewed(clinic: Clinic, admin: ClinicAccess) -> None:
    reader = make_access(clinic)
    for model, readers in [
        ("abnormal", "abnormal"),
        ("abnormal", "normal"),
        ("normal", "abnormal"),
        ("normal", "normal"),
    ]:
        case(reader, model, readers)
    for _ in range(4):
        make_analysis(make_study(clinic), verdict="normal")
    card = read(admin)

    assert [(word, row.value, total) for word, total, row in card.verification if row] == [
        ("No fracture seen", "0.33", 6),
        ("Fracture suspected", "1.00", 2),
    ]
    assert card.corrected is not None
    # 2 flagged with 1 abnormal, 6 unflagged of which half by the sample: 1 / (1 + 3).
    assert card.corrected.sensitivity.value == pytest.approx(0.25)
    assert card.corrected.specificity.value == pytest.approx(0.75)


@pytest.mark.usefixtures("few_cases")
def test_calibration_over_cases_with_a_probability(clinic: Clinic, admin: ClinicAccess) -> None:
    reader = make_access(clinic)
    case(reader, "abnormal", "abnormal", probability=0.9)
    case(reader, "normal", "normal", probability=0.1)
    case(reader, "uncertain", "uncertain", probability=0.5)
    card = read(admin)

    assert card.calibration is not None
    assert card.calibration.n == 2
    assert card.calibration.brier == pytest.approx(0.01)


def test_weeks_begin_on_the_clinics_monday() -> None:
    clinic = make_clinic(time_zone="Pacific/Auckland")
    admin = make_access(clinic, Role.ADMIN)
    # Sunday in UTC, Monday the 16th in Auckland; and the Monday before.
    for at, verdict in [
        (datetime(2026, 11, 15, 12, 0, tzinfo=UTC), "abnormal"),
        (datetime(2026, 11, 16, 12, 0, tzinfo=UTC), "unsupported"),
        (datetime(2026, 11, 9, 12, 0, tzinfo=UTC), "normal"),
    ]:
        study = make_study(clinic)
        fields = {"probability": None, "body_part": ""} if verdict == "unsupported" else {}
        if verdict == "unsupported":
            analysis = make_analysis(study, Analysis.State.QUEUED)
            Analysis.objects.filter(pk=analysis.pk).update(
                state="succeeded", verdict=verdict, finished_at=at, **fields
            )
            Study.objects.filter(pk=study.pk).update(current=analysis)
        else:
            make_analysis(study, verdict=verdict)
        Study.objects.filter(pk=study.pk).update(created_at=at)
    weeks = read(admin).weeks

    assert [(week.monday.isoformat(), week.studies) for week in weeks] == [
        ("2026-11-09", 1),
        ("2026-11-16", 2),
    ]
    newest = weeks[-1]
    assert newest.abnormal is not None
    assert newest.unsupported is not None
    assert (newest.abnormal.value, newest.abnormal.n) == (1.0, 1)
    assert newest.unsupported.value == 0.5
    assert newest.distance == (1.0, 1.0, 1.0)
    assert newest.body_parts == {"wrist": 1}


def test_a_shadow_bundle_is_compared_with_the_results_in_use(clinic: Clinic, admin: ClinicAccess) -> None:
    reader = make_access(clinic)
    study = case(reader, "normal", "abnormal")
    shadow = make_bundle(is_active=False)
    make_analysis(study, bundle=shadow, purpose=Analysis.Purpose.SHADOW, verdict="abnormal")
    card = read(admin)

    [(bundle, agreement, rows)] = card.shadows
    assert (bundle, agreement.n) == (shadow, 1)
    assert dict(rows)["No fracture seen"] == [0, 1, 0, 0]
    assert {line.label: line.counts for line in card.by_bundle}[shadow.name] == FourFold(1, 0, 0, 0)
    assert read(admin, bundle=shadow.pk).bundle == shadow


def test_the_page_says_how_it_counts_and_costs_the_same_for_more(clinic: Clinic, admin: ClinicAccess) -> None:
    reader, other = make_access(clinic), make_access(clinic)
    client = Client()
    client.force_login(admin.user)

    def page() -> tuple[str, int]:
        with CaptureQueriesContext(connection) as captured:
            answer = client.get(reverse("scorecard", args=[clinic.slug]))
        assert answer.status_code == 200
        return answer.content.decode(), len(captured)

    assert "Nothing has been analysed" in page()[0]
    say(other, case(reader, "abnormal", "abnormal"), "abnormal")
    text, one = page()
    for words in (
        "Verification bias",
        "saved before they saw the prediction",
        "“uncertain” counts as abnormal",
    ):
        assert words in text
    assert 'style="' not in text
    for model in ("normal", "abnormal", "uncertain"):
        say(other, case(reader, model, "normal"), "normal")
    assert page()[1] == one <= 20


def test_the_period_limits_everything(clinic: Clinic, admin: ClinicAccess) -> None:
    study = case(make_access(clinic), "abnormal", "abnormal")
    Study.objects.filter(pk=study.pk).update(created_at=datetime.now(UTC) - timedelta(days=400))
    day = (datetime.now(UTC) - timedelta(days=30)).date().isoformat()

    card = read(admin, **{"from": day})

    assert (card.counts.n, card.analysed, card.weeks, card.with_model) == (0, 0, [], [])
    assert read(admin).counts.n == 1


def test_a_figure_needs_enough_cases(clinic: Clinic, admin: ClinicAccess) -> None:
    """Nine abnormal cases and ten normal ones: the one share is not shown, the other is."""
    reader = make_access(clinic)
    for number in range(9):
        case(reader, "abnormal" if number else "normal", "abnormal")
    for number in range(10):
        case(reader, "normal" if number else "abnormal", "normal")
    card = read(admin)
    assert card.whole.sensitivity is None
    assert card.whole.specificity is not None
    assert card.whole.specificity.value == "0.90"
    assert card.calibration is None
    assert card.summary == [
        "19 of 19 analysed studies could be compared with readers.",
        "Readers called 10 of them normal; the model flagged 1 of these all the same.",
        "A figure needs at least 10 cases; there are 9 abnormal and 10 normal ones.",
    ]
    # One week: nothing to draw a line through.
    assert card.rates == card.inputs == card.mix == []
