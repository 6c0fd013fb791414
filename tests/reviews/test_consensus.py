"""The rule that derives a study's consensus from its reviews."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from xrayportal.reviews.consensus import ConsensusValues, derive_consensus


@dataclass(frozen=True)
class Review:
    reader_id: int
    verdict: str
    kind: str = "first"
    is_signed: bool = True
    was_blind: bool = False
    body_part: str = ""


def draft(reader: int, verdict: str, **fields: object) -> Review:
    return Review(reader, verdict, is_signed=False, **fields)  # type: ignore[arg-type]


ADJUDICATION = {"kind": "adjudication"}


@pytest.mark.parametrize(
    ("opinions", "state", "verdict", "readers"),
    [
        ([], "open", "", 0),
        ([draft(1, "normal")], "open", "", 0),
        ([Review(1, "normal")], "agreed", "normal", 1),
        ([Review(1, "normal"), draft(2, "abnormal")], "agreed", "normal", 1),
        ([Review(1, "normal"), Review(2, "normal")], "agreed", "normal", 2),
        ([Review(1, "normal"), Review(2, "abnormal")], "disagreed", "", 2),
        ([Review(1, "normal"), Review(2, "uncertain")], "disagreed", "", 2),
        (
            [Review(1, "normal"), Review(2, "abnormal"), draft(3, "normal", **ADJUDICATION)],
            "disagreed",
            "",
            2,
        ),
        (
            [Review(1, "normal"), Review(2, "abnormal"), Review(3, "uncertain", **ADJUDICATION)],
            "adjudicated",
            "uncertain",
            2,
        ),
        # Superseded: only the newest of each chain counts.
        ([Review(1, "normal"), Review(2, "abnormal"), Review(1, "abnormal")], "agreed", "abnormal", 2),
        (
            [
                Review(1, "normal"),
                Review(2, "abnormal"),
                Review(3, "normal", **ADJUDICATION),
                Review(3, "abnormal", **ADJUDICATION),
            ],
            "adjudicated",
            "abnormal",
            2,
        ),
        # A reader named to settle keeps both: the reading and the ruling.
        (
            [Review(1, "normal"), Review(2, "abnormal"), Review(1, "abnormal", **ADJUDICATION)],
            "adjudicated",
            "abnormal",
            2,
        ),
    ],
)
def test_the_studys_consensus(opinions: list[Review], state: str, verdict: str, readers: int) -> None:
    consensus = derive_consensus(opinions)

    assert (consensus.state, consensus.verdict, consensus.readers) == (state, verdict, readers)


def test_a_change_of_mind_is_counted_and_stays_out_of_the_blind_verdict() -> None:
    consensus = derive_consensus([draft(1, "normal", was_blind=True), Review(1, "abnormal")])

    assert consensus == ConsensusValues("agreed", "abnormal", "normal", readers=1, changes=1)


def test_a_blind_draft_counts_only_once_its_reader_signs() -> None:
    assert derive_consensus([draft(1, "normal", was_blind=True)]).blind_verdict == ""
    assert (
        derive_consensus([draft(1, "normal", was_blind=True), Review(1, "normal")]).blind_verdict == "normal"
    )


def test_an_opinion_after_the_prediction_is_no_blind_one() -> None:
    assert derive_consensus([Review(1, "abnormal")]).blind_verdict == ""
    # One blind, one not: the blind one stands alone.
    assert (
        derive_consensus([Review(1, "abnormal", was_blind=True), Review(2, "abnormal")]).blind_verdict
        == "abnormal"
    )


def test_blind_opinions_that_differ_need_a_blind_ruling() -> None:
    readings = [Review(1, "normal", was_blind=True), Review(2, "abnormal", was_blind=True)]

    assert derive_consensus(readings).blind_verdict == ""
    assert derive_consensus([*readings, Review(3, "normal", **ADJUDICATION)]).blind_verdict == ""
    assert (
        derive_consensus([*readings, Review(3, "normal", was_blind=True, **ADJUDICATION)]).blind_verdict
        == "normal"
    )


def test_blind_opinions_that_agree_stand_against_any_ruling() -> None:
    """The second reader changed their mind over the prediction, which brought the case to a third."""
    opinions = [
        Review(1, "normal", was_blind=True),
        draft(2, "normal", was_blind=True),
        Review(2, "abnormal"),
        Review(3, "abnormal", was_blind=True, **ADJUDICATION),
    ]

    consensus = derive_consensus(opinions)
    assert (consensus.state, consensus.verdict, consensus.blind_verdict) == (
        "adjudicated",
        "abnormal",
        "normal",
    )


def test_a_blind_ruling_over_opinions_that_were_not_is_no_blind_reference() -> None:
    opinions = [
        Review(1, "normal"),
        Review(2, "abnormal"),
        Review(3, "abnormal", was_blind=True, **ADJUDICATION),
    ]

    assert derive_consensus(opinions).blind_verdict == ""


@pytest.mark.parametrize(
    ("body_parts", "expected"),
    [(["", ""], ""), (["wrist", ""], "wrist"), (["wrist", "wrist"], "wrist"), (["wrist", "hand"], "")],
)
def test_the_corrected_part_is_the_one_that_readers_agree_on(body_parts: list[str], expected: str) -> None:
    opinions = [Review(reader, "normal", body_part=body_part) for reader, body_part in enumerate(body_parts)]

    assert derive_consensus(opinions).body_part == expected
