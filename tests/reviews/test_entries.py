"""What a reader sends, checked before anything is stored."""

from __future__ import annotations

import json
import uuid

import pytest

from xrayportal.reviews.entries import BadEntry, parse_boxes, parse_entry

IMAGE = uuid.uuid4()


def test_a_whole_opinion() -> None:
    boxes = json.dumps([{"image": str(IMAGE), "box": [10, 20, 30, 40]}])
    entry = parse_entry(
        {"verdict": "abnormal", "body_part": "wrist", "boxes": boxes, "comment": " Distal.\r\nRadius. "},
        body_parts=["wrist"],
        images=[IMAGE],
    )

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
    with pytest.raises(BadEntry, match=sentence):
        parse_entry(data, body_parts=["wrist"], images=[IMAGE])


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "[1]",
        "[" * 100_000,
        json.dumps([{"image": str(uuid.uuid4()), "box": [0, 0, 1, 1]}]),
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
    with pytest.raises(BadEntry):
        parse_boxes(text, images=[IMAGE])


def test_nothing_beside_the_region_is_kept() -> None:
    row = {"image": str(IMAGE), "box": [0, 0, 1, 1], "onclick": "x"}

    assert parse_boxes(json.dumps([row]), images=[IMAGE]) == [{"image": str(IMAGE), "box": [0, 0, 1, 1]}]
