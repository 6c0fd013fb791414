"""Confusion matrices as nested counts, and the classification report that follows from one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.evaluation.predictions import Predictions

#: Rows are the truth, columns what was answered.
Table = dict[str, dict[str, int]]


def verdicts(label: NDArray[np.bool_], screened: NDArray[np.float64], low: float, high: float) -> Table:
    """Labels by verdict; ``screened`` is the probability, -1 where the detector refused the picture."""
    answers = {
        "normal": (screened >= 0) & (screened < low),
        "uncertain": (screened >= low) & (screened < high),
        "abnormal": screened >= high,
        "unsupported": screened < 0,
    }
    return {
        truth: {name: int((rows & mine).sum()) for name, rows in answers.items()}
        for truth, mine in (("normal", ~label), ("abnormal", label))
    }


def body_parts(predictions: Predictions) -> Table:
    """True part by predicted part; pictures of unknown part are left out."""
    table = {body_part: dict.fromkeys(predictions.body_parts, 0) for body_part in predictions.body_parts}
    for record, top_body_part in zip(predictions.records, predictions.top_body_part, strict=True):
        if record.body_part:
            table[record.body_part][str(top_body_part)] += 1
    return table


def classification(table: Table) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 (0 for 0 of 0) and count of every answer that is also a truth and occurs."""
    report = {}
    for name, row in table.items():
        count, right = sum(row.values()), row[name]
        predicted = sum(other[name] for other in table.values())
        if count or predicted:
            precision, recall = right / predicted if predicted else 0.0, right / count if count else 0.0
            both = precision + recall
            report[name] = {
                "precision": precision,
                "recall": recall,
                "f1": 2 * precision * recall / both if both else 0.0,
                "count": count,
            }
    return report
