"""The sentence under a verdict: its figures come from the manifest, and it never says more than they do."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import translation

from tests.measured import with_measures
from xrayportal.words.claims import claim, claim_basis, location_words

BARE: dict[str, Any] = {
    "target": {"code": "fracture"},
    "body_parts": ["wrist", "foot"],
    "thresholds": {"low": 0.2, "high": 0.7},
    "trust": {"weak_below": 0.4},
}
MEASURED = with_measures(BARE, unjudged="foot")


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        ("normal", "In tests, 4 of 300 images with this result had a fracture all the same."),
        (
            "towards_normal",
            "In tests, 14 of 140 images with this result had a fracture. "
            "Read it without relying on the model.",
        ),
        (
            "uncertain",
            "In tests, 38 of 220 images with this result had a fracture. "
            "Read it without relying on the model.",
        ),
        (
            "abnormal",
            "In tests, 48 of 50 images with this result had a fracture. "
            "2 false alarms among 480 images without.",
        ),
        (
            "unsupported",
            "The model was not made for this kind of image, so it gives no probability or heatmap.",
        ),
    ],
)
def test_each_result_has_its_measured_sentence(outcome: str, sentence: str) -> None:
    assert claim(MEASURED, outcome) == sentence


def test_no_false_alarm_is_said_with_the_number_of_chances() -> None:
    clean = {**MEASURED, "rates": {**MEASURED["rates"], "abnormal": {"pictures": 48, "abnormal": 48}}}
    assert claim(clean, "abnormal").endswith("No false alarm among 478 images without.")


def test_a_body_part_that_is_not_judged_says_why() -> None:
    assert claim(MEASURED, "not_judged", body_part="foot") == (
        "Foot: the model was tested on 19 images with a fracture, and how well it tells them from the "
        "others is too uncertain. It does not judge this body part."
    )


def test_the_prevalence_is_named() -> None:
    basis = "Measured on the test split of FracAtlas, where 16 % of the images had a fracture."
    assert claim_basis(MEASURED, "normal") == basis
    assert claim_basis(MEASURED, "not_judged") == claim_basis(BARE, "normal") == ""


def test_own_thresholds_have_no_figures() -> None:
    assert claim(MEASURED, "normal", by_clinic=True) == ""
    assert "nothing was measured" in claim_basis(MEASURED, "normal", by_clinic=True)


def test_a_bundle_without_figures_claims_none() -> None:
    assert claim(BARE, "normal") == claim(BARE, "abnormal") == ""
    assert claim(BARE, "uncertain") == "Read it without relying on the model."


@pytest.mark.parametrize(
    ("location", "trust", "begins"),
    [
        ("none", None, "No area stands out."),
        (
            "weak",
            None,
            "Only a hint here: in tests, where there was a fracture, the peak lay on it in 70 of 120",
        ),
        (
            "strong",
            None,
            "Strongest evidence here: in tests, where there was a fracture, the peak lay on it in 300",
        ),
        ("", 0.3, "Only a hint here."),
        ("", 0.5, "Strongest evidence here."),
    ],
)
def test_a_heatmap_says_what_it_is_worth(location: str, trust: float | None, begins: str) -> None:
    assert location_words(MEASURED if location else BARE, location=location, trust=trust).startswith(begins)


def test_nothing_known_is_nothing_said() -> None:
    assert location_words(BARE, location="", trust=None) == ""


@pytest.mark.parametrize("outcome", ["normal", "towards_normal", "abnormal", "not_judged"])
def test_german(outcome: str) -> None:
    with translation.override("de"):
        sentence = claim(MEASURED, outcome, body_part="foot")
    assert "fracture" not in sentence
    assert sentence != claim(MEASURED, outcome, body_part="foot")


def test_a_handful_of_pictures_makes_no_rate() -> None:
    few = {**MEASURED, "rates": {**MEASURED["rates"], "towards_abnormal": {"pictures": 6, "abnormal": 4}}}
    sentence = claim(few, "towards_abnormal")
    assert sentence.startswith("Too few test images had this result to say how many of them had a fracture.")
    assert "4 of 6" not in sentence
