"""What was called what: confusion matrices as nested counts, and the classification report read off one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.evaluation.predictions import Judged

#: Rows are the truth, columns what was answered.
Table = dict[str, dict[str, int]]


def verdicts(label: NDArray[np.bool_], called: NDArray[np.float64], low: float, high: float) -> Table:
    """Labels by verdict; ``called`` is the probability, -1 out of scope."""
    answers = {
        "normal": (called >= 0) & (called < low),
        "uncertain": (called >= low) & (called < high),
        "abnormal": called >= high,
        "unsupported": called < 0,
    }
    return {
        truth: {name: int((rows & mine).sum()) for name, rows in answers.items()}
        for truth, mine in (("normal", ~label), ("abnormal", label))
    }


def parts(judged: Judged) -> Table:
    """True part by the part named; pictures of unknown part are left out."""
    table = {part: dict.fromkeys(judged.parts, 0) for part in judged.parts}
    for record, named in zip(judged.records, judged.named, strict=True):
        if record.part:
            table[record.part][str(named)] += 1
    return table


def classification(table: Table) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 (0 for 0 of 0) and count of every answer that is also a truth and occurs."""
    found = {}
    for name, row in table.items():
        count, right = sum(row.values()), row[name]
        said = sum(other[name] for other in table.values())
        if count or said:
            precision, recall = right / said if said else 0.0, right / count if count else 0.0
            both = precision + recall
            found[name] = {
                "precision": precision,
                "recall": recall,
                "f1": 2 * precision * recall / both if both else 0.0,
                "count": count,
            }
    return found
