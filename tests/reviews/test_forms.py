"""The form of a review: checks before anything is stored."""

from __future__ import annotations

import json
import uuid

import pytest
from django.core.exceptions import ValidationError

from xrayportal.web.reviews.forms import BoxesField, ReviewForm

IMAGE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


def test_a_whole_opinion() -> None:
    boxes = json.dumps([{"image": str(IMAGE), "box": [10, 20, 30, 40]}])
    form = ReviewForm(
        {"verdict": "abnormal", "body_part": "wrist", "boxes": boxes, "comment": " Distal.\r\nRadius. "},
        body_parts=["wrist"],
        images=[IMAGE],
    )
    assert form.is_valid()
    entry = form.entry

    assert entry.verdict == "abnormal"
    assert entry.body_part == "wrist"
    assert entry.boxes == [{"image": str(IMAGE), "box": [10, 20, 30, 40]}]
    assert entry.comment == "Distal.\nRadius."


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "Choose a verdict"),
        ({"verdict": "healthy"}, "Choose a verdict"),
        ({"verdict": "normal", "body_part": "skull"}, "does not know this body part"),
        ({"verdict": "normal", "comment": "x" * 4001}, "too long"),
    ],
)
def test_a_bad_opinion_is_a_sentence(data: dict[str, str], sentence: str) -> None:
    form = ReviewForm(data, body_parts=["wrist"], images=[IMAGE])
    assert not form.is_valid()
    assert sentence in form.sentence


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "[1]",
        "[" * 100_000,
        json.dumps([{"image": str(OTHER), "box": [0, 0, 1, 1]}]),
        json.dumps([{"image": str(IMAGE), "box": [0, 0, 1]}]),
        json.dumps([{"image": str(IMAGE), "box": [-1, 0, 1, 1]}]),
        json.dumps([{"image": str(IMAGE), "box": [0, 0, 0, 1]}]),
        json.dumps([{"image": str(IMAGE), "box": [0, 0, 70_000, 1]}]),
        json.dumps([{"image": str(IMAGE), "box": [0.5, 0, 1, 1]}]),
        json.dumps([{"image": str(IMAGE), "box": [True, 0, 1, 1]}]),
        json.dumps([{"image": str(IMAGE), "box": [0, 0, 1, 1], "onclick": "x"}] * 21),
    ],
)
def test_regions_that_no_viewer_draws_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        BoxesField(images=[IMAGE]).clean(text)


def test_nothing_beside_the_region_is_kept() -> None:
    row = {"image": str(IMAGE), "box": [0, 0, 1, 1], "onclick": "x"}

    assert BoxesField(images=[IMAGE]).clean(json.dumps([row])) == [{"image": str(IMAGE), "box": [0, 0, 1, 1]}]
