"""Figures of pictures and of studies, and what was called what, on a few answers made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from inference_worker.manifest import RESULTS, Thresholds
from training.datasets.record import Record
from training.evaluation import confusion, figures
from training.evaluation.predictions import Predictions

#: Group, study, part, abnormal, probability, distance, part named.
ROWS = (
    ("a", "1", "hand", True, 0.9, 0.5, "hand"),
    ("a", "1", "hand", True, 0.5, 2.0, "wrist"),
    ("b", "1", "wrist", False, 0.2, 0.5, "wrist"),
    ("b", "2", "wrist", False, 0.6, 3.0, "wrist"),
    ("c", None, None, True, 0.4, 0.5, "hand"),
)


def _predictions(*unjudged: str) -> Predictions:
    count = len(ROWS)
    records = tuple(
        Record(
            str(index),
            Path("x"),
            "test",
            group,
            abnormal,
            body_part,
            study,
            flags=frozenset({"hw"} - {body_part}),
        )
        for index, (group, study, body_part, abnormal, *_) in enumerate(ROWS)
    )
    none = np.zeros(count)
    return Predictions(
        records=records,
        body_parts=("hand", "wrist"),
        unjudged=frozenset(unjudged),
        logit=none.astype(np.float32),
        probability=np.array([row[4] for row in ROWS]),
        body_part=np.zeros((count, 2), np.float32),
        top_body_part=np.array([row[6] for row in ROWS]),
        distance=np.array([row[5] for row in ROWS], np.float32),
        trust=none,
        height=none,
        hit=none.astype(bool),
        strict=none.astype(bool),
        energy=none,
    )


def test_a_study_is_its_pictures_in_scope() -> None:
    """Two groups may call their studies alike; a study whose pictures are all out of scope is not called."""
    actual = figures.studies(_predictions(), 0.3)
    assert actual is not None
    assert list(actual.groups) == ["a", "b", "b"]
    np.testing.assert_allclose(actual.probability, [0.7, 0.2, 0.6])
    np.testing.assert_allclose(actual.screened, [0.9, 0.2, -1.0])
    assert list(actual.label) == [True, False, False]
    assert list(actual.body_part) == ["hand", "wrist", "wrist"]


def test_what_was_called_what() -> None:
    predictions = _predictions()
    single = figures.pictures(predictions, 0.3)
    assert confusion.verdicts(single.label, single.screened, 0.3, 0.8) == {
        "normal": {"normal": 1, "uncertain": 0, "abnormal": 0, "unsupported": 1},
        "abnormal": {"normal": 0, "uncertain": 1, "abnormal": 1, "unsupported": 1},
    }
    table = confusion.body_parts(predictions)
    assert table == {"hand": {"hand": 1, "wrist": 1}, "wrist": {"hand": 0, "wrist": 2}}
    report = confusion.classification(table)
    assert report["hand"] == {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "count": 2}
    assert report["wrist"]["precision"] == 2 / 3


def test_slices_need_enough_abnormal_cases() -> None:
    cases = figures.pictures(_predictions(), 0.3)
    assert set(figures.slices(cases)) == {"all", "without metal", "without metal and casts"}


def test_what_is_not_judged_is_uncertain() -> None:
    """Where the bundle does not judge wrists nothing of a wrist is called normal or abnormal."""
    predictions = _predictions("wrist")
    single, joined = figures.pictures(predictions, 0.3), figures.studies(predictions, 0.3)
    assert list(single.judged) == [True, False, False, False, True]
    np.testing.assert_allclose(single.screened, [0.9, -1.0, 0.3, -1.0, 0.4])
    assert joined is not None
    assert len(joined.judged) == 3
    assert figures.JUDGED in figures.slices(single)
    assert figures.JUDGED not in figures.slices(figures.pictures(_predictions(), 0.3))


def test_rates_count_the_judged_by_answer() -> None:
    thresholds = Thresholds(0.3, 0.8, (0.0, 1.0), (0.0, 1.0), even=0.5)
    actual = figures.rates(figures.pictures(_predictions(), 0.3), thresholds)
    assert (actual["pictures"], actual["prevalence"]) == (5, 0.6)
    assert {name: tuple(actual[name].values()) for name in RESULTS} == {
        "normal": (1, 0),
        "towards_normal": (1, 1),
        "towards_abnormal": (0, 0),
        "abnormal": (1, 1),
    }, "the two that the detector refused are among all, under no answer"
