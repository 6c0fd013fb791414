"""Verdicts of pictures and studies, row by row of docs and design."""

from __future__ import annotations

import math

import pytest

from inference_worker.manifest import Aggregate, Calibration, Thresholds
from inference_worker.types import BODY_PART_NOT_JUDGED, Leaning, Verdict
from inference_worker.verdict import View, calibrated, judge, judge_study, lean

LOW, HIGH = 0.2, 0.6
HAND = {"hand": 0.9, "wrist": 0.1}
WRIST = {"hand": 0.2, "wrist": 0.8}
UNSUPPORTED = View(HAND, None)


def hand(probability: float) -> View:
    return View(HAND, probability)


@pytest.mark.parametrize(
    ("probability", "verdict"),
    [
        (0.0, "normal"),
        (math.nextafter(LOW, 0), "normal"),
        (LOW, "uncertain"),
        (math.nextafter(HIGH, 0), "uncertain"),
        (HIGH, "abnormal"),
        (1.0, "abnormal"),
    ],
)
def test_thresholds_belong_to_the_higher_verdict(probability: float, verdict: Verdict) -> None:
    assert judge(probability, LOW, HIGH) == verdict


def test_equal_thresholds_leave_no_uncertainty() -> None:
    assert [judge(p, 0.5, 0.5) for p in (0.49, 0.5)] == ["normal", "abnormal"]


def test_crossed_thresholds_are_refused() -> None:
    with pytest.raises(ValueError, match="above"):
        judge(0.5, 0.7, 0.3)


def test_calibration_is_platt_with_an_offset_by_part() -> None:
    calibration = Calibration(slope=1.5, intercept=-0.5, offsets={"wrist": 1.0})
    assert calibrated(2.0, "hand", calibration) == pytest.approx(1 / (1 + math.exp(-2.5)))
    assert calibrated(2.0, "wrist", calibration) == pytest.approx(1 / (1 + math.exp(-3.5)))
    assert calibrated(-1e6, "hand", calibration) == 0.0
    assert calibrated(1e6, "hand", calibration) == 1.0


@pytest.mark.parametrize(
    ("views", "aggregate", "verdict", "probability"),
    [
        ([hand(0.1)], "mean", "normal", 0.1),
        ([hand(0.3)], "mean", "uncertain", 0.3),
        ([hand(0.9)], "mean", "abnormal", 0.9),
        ([hand(0.1), hand(0.9)], "mean", "uncertain", 0.5),
        ([hand(0.1), hand(0.9)], "max", "abnormal", 0.9),
        ([hand(0.1), UNSUPPORTED], "mean", "normal", 0.1),
        ([UNSUPPORTED, UNSUPPORTED], "mean", "unsupported", None),
        ([hand(0.1), None], "mean", "uncertain", 0.1),
        ([hand(0.1), None], "max", "uncertain", 0.1),
        ([hand(0.3), None], "mean", "uncertain", 0.3),
        ([hand(0.9), None], "mean", "abnormal", 0.9),
        ([UNSUPPORTED, None], "mean", "unsupported", None),
    ],
)
def test_study(
    views: list[View | None], aggregate: Aggregate, verdict: Verdict, probability: float | None
) -> None:
    result = judge_study(views, low=LOW, high=HIGH, aggregate=aggregate)
    assert result.verdict == verdict
    assert result.probability == (None if probability is None else pytest.approx(probability))
    assert result.views == len(views)
    assert result.unreadable == views.count(None)
    assert result.unsupported == views.count(UNSUPPORTED)
    assert result.is_incomplete == (None in views)


@pytest.mark.parametrize("unreadable", [0, 1, 2])
@pytest.mark.parametrize("probability", [0.0, 0.1, 0.2, 0.4, 0.6, 1.0])
def test_a_study_with_an_unreadable_view_is_never_normal(probability: float, unreadable: int) -> None:
    result = judge_study([hand(probability), *[None] * unreadable], low=LOW, high=HIGH)
    assert (result.verdict == "normal") == (probability < LOW and not unreadable)


def test_part_is_the_mean_over_supported_views_only() -> None:
    views = [View(HAND, 0.1), View(WRIST, 0.1), View({"hand": 1.0, "wrist": 0.0}, None)]
    result = judge_study(views, low=LOW, high=HIGH)
    assert result.body_parts == {"hand": pytest.approx(0.55), "wrist": pytest.approx(0.45)}
    assert (result.body_part, result.body_part_probability) == ("hand", pytest.approx(0.55))


def test_forced_part_wins_and_keeps_the_networks_probability() -> None:
    result = judge_study([hand(0.1)], low=LOW, high=HIGH, forced_body_part="wrist")
    assert (result.body_part, result.body_part_probability) == ("wrist", pytest.approx(0.1))
    with pytest.raises(ValueError, match="'skull'"):
        judge_study([hand(0.1)], low=LOW, high=HIGH, forced_body_part="skull")


def test_unsupported_study_has_no_part_and_no_score() -> None:
    result = judge_study([UNSUPPORTED], low=LOW, high=HIGH, forced_body_part="hand")
    assert (result.body_part, result.body_part_probability, result.probability, result.body_parts) == (
        None,
        None,
        None,
        {},
    )


def test_nothing_readable_is_no_verdict() -> None:
    for views in ([], [None], [None, None]):
        with pytest.raises(ValueError, match="none of the study's views"):
            judge_study(views, low=LOW, high=HIGH)


@pytest.mark.parametrize(
    ("low", "high", "complaint"),
    [(0.04, 0.6, "low threshold"), (0.2, 0.97, "high threshold"), (0.45, 0.42, "above the high")],
)
def test_a_clinics_thresholds_stay_within_the_limits(low: float, high: float, complaint: str) -> None:
    bundled = Thresholds(low=0.2, high=0.6, low_limits=(0.05, 0.5), high_limits=(0.4, 0.95))
    assert bundled.at(0.1, 0.9) == Thresholds(0.1, 0.9, (0.05, 0.5), (0.4, 0.95))
    with pytest.raises(ValueError, match=complaint):
        bundled.at(low, high)


@pytest.mark.parametrize(
    ("probability", "leaning"),
    [
        (0.1, None),
        (LOW, "towards_normal"),
        (math.nextafter(0.5, 0), "towards_normal"),
        (0.5, "towards_abnormal"),
        (HIGH, None),
    ],
)
def test_an_uncertain_probability_leans_to_one_side(probability: float, leaning: Leaning | None) -> None:
    verdict = judge(probability, LOW, HIGH)
    assert lean(verdict, probability, 0.5) == leaning
    assert lean(verdict, probability, None) is None
    assert judge_study([hand(probability)], low=LOW, high=HIGH, even=0.5).leaning == leaning


def test_a_view_that_cannot_be_decoded_makes_a_low_study_lean_towards_normal() -> None:
    result = judge_study([hand(0.1), None], low=LOW, high=HIGH, even=0.5)
    assert (result.verdict, result.leaning) == ("uncertain", "towards_normal")


@pytest.mark.parametrize("probability", [0.1, 0.4, 0.9])
def test_nothing_is_said_of_a_study_whose_body_part_is_not_judged(probability: float) -> None:
    views = [hand(probability), View(WRIST, probability), None]
    result = judge_study(views, low=LOW, high=HIGH, even=0.5, unjudged={"hand"})
    assert (result.verdict, result.reason) == ("uncertain", BODY_PART_NOT_JUDGED)
    assert (result.probability, result.leaning) == (None, None)
    assert (result.body_part, result.unreadable) == ("hand", 1)


def test_the_body_part_of_the_whole_study_counts() -> None:
    views = [hand(0.9), View(WRIST, 0.9)]
    judged = judge_study(views, low=LOW, high=HIGH, unjudged={"wrist"})
    assert (judged.verdict, judged.reason, judged.probability) == ("abnormal", "", 0.9)
    forced = judge_study(views, low=LOW, high=HIGH, forced_body_part="wrist", unjudged={"wrist"})
    assert forced.reason == BODY_PART_NOT_JUDGED
    beyond = judge_study([UNSUPPORTED], low=LOW, high=HIGH, unjudged={"hand"})
    assert (beyond.verdict, beyond.reason) == ("unsupported", "")
