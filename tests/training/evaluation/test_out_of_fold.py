"""Answers to pictures by networks that have not seen them: kept, listed, summed up."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from inference_worker.types import Outputs
from training.datasets.record import DatasetError, Record
from training.evaluation.out_of_fold import (
    OutOfFold,
    read_outputs,
    summary,
    table,
    write_outputs,
    write_table,
)

COUNT = 40


@pytest.fixture
def answers() -> OutOfFold:
    """Hands are told apart, wrists are not; every second fracture is pointed at."""
    records, logit, maps = [], [], np.zeros((COUNT, 4, 4), np.float32)
    for number in range(COUNT):
        abnormal, body_part = number % 2 == 0, ("hand", "wrist")[number // 20]
        box = ((0.0, 0.0, 16.0, 16.0),) if abnormal else ()
        records.append(
            Record(
                str(number),
                Path("x"),
                "train",
                f"g{number // 2}",
                abnormal,
                body_part,
                boxes=box,
                width=64,
                height=64,
            )
        )
        logit.append((5.0 if abnormal else -5.0) if body_part == "hand" else float(number % 4 < 2))
        maps[number, *((0, 0) if number % 4 == 0 else (3, 3))] = 9
    outputs = Outputs(
        body_part=np.eye(2, dtype=np.float32)[np.arange(COUNT) // 20 ^ (np.arange(COUNT) == 0)],
        logit=np.array(logit, np.float32),
        map=maps,
        embedding=np.ones((COUNT, 3), np.float32),
    )
    return OutOfFold(tuple(records), ("hand", "wrist"), 64, np.arange(COUNT) // 2 % 5, outputs)


def test_figures_by_part_and_fold(answers: OutOfFold) -> None:
    figures = summary(answers)
    hand, wrist = figures["body_parts"]["hand"], figures["body_parts"]["wrist"]
    assert (hand["pictures"], hand["abnormal"]) == (20, 10)
    assert hand["auc"].value == hand["auc"].low == 1
    assert wrist["auc"].value == 0.5
    assert hand["auc"].n == 20
    assert figures["all"]["auc"].low < figures["all"]["auc"].value < 1
    assert figures["all"]["pointing_all"].value == 0.5
    assert figures["all"]["pointing_all"].n == 20
    assert figures["all"]["body_part_accuracy"].value == 1 - 1 / COUNT
    assert list(figures["folds"]) == ["0", "1", "2", "3", "4"]
    assert sum(row["pictures"] for row in figures["folds"].values()) == COUNT
    lines = table(figures).splitlines()
    assert "| hand | 20 | 10 | 1.000 (1.000 to 1.000) |" in "\n".join(lines)
    assert "| pointing all | 0.500 (" in "\n".join(lines)


def test_a_part_of_one_label_has_no_figure(answers: OutOfFold) -> None:
    normal = [row for row in range(COUNT) if row < 20 or row % 2]
    outputs = answers.outputs
    few = OutOfFold(
        tuple(answers.records[row] for row in normal),
        answers.body_parts,
        64,
        answers.fold[normal],
        Outputs(
            outputs.body_part[normal], outputs.logit[normal], outputs.map[normal], outputs.embedding[normal]
        ),
    )
    assert summary(few)["body_parts"]["wrist"]["auc"] is None
    assert "| wrist | 10 | 0 | none | none |" in table(summary(few))


def test_answers_survive_their_file_and_belong_to_their_pictures(answers: OutOfFold, tmp_path: Path) -> None:
    path = tmp_path / "answers.npz"
    write_outputs(path, answers.records, answers.outputs, fold=answers.fold)
    again = read_outputs(path, answers.records)
    for name in ("body_part", "logit", "map", "embedding"):
        np.testing.assert_array_equal(getattr(again, name), getattr(answers.outputs, name))
    with pytest.raises(DatasetError, match="other pictures"):
        read_outputs(path, answers.records[1:])
    assert [file.name for file in tmp_path.iterdir()] == ["answers.npz"]


def test_the_table_has_a_line_a_picture(answers: OutOfFold, tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", answers)
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == COUNT
    assert rows[0] == {
        "image_id": "0", "group": "g0", "fold": "0", "body_part": "hand", "abnormal": "1", "logit": "5.0000",
        "peak_in_box": "1", "body_part_hand": "0.0000", "body_part_wrist": "1.0000",
    }  # fmt: skip
    assert [row["peak_in_box"] for row in rows[:4]] == ["1", "", "0", ""]
