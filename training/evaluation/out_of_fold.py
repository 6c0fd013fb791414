"""Answers to every training picture by a network that has not seen its group, and how good they are."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_worker.types import Outputs
from training.datasets.record import DatasetError, Record
from training.datasets.squares import sized
from training.evaluation import metrics
from training.evaluation.heatmaps import hits
from training.evaluation.metrics import Figure, Undefined

Rows = NDArray[np.intp]
ROUNDS = 1000
#: The file of all answers, without its ending.
NAME = "out_of_fold"


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Outputs for N pictures, in the order of ``records``; ``fold`` ``(N,)`` is the one that held each out.

    ``size`` is the side of the network's input in pixels; ``body_parts`` the order of ``outputs.body_part``.
    """

    records: tuple[Record, ...]
    body_parts: tuple[str, ...]
    size: int
    fold: NDArray[np.int64]
    outputs: Outputs

    @property
    def abnormal(self) -> NDArray[np.bool_]:
        return np.array([record.abnormal for record in self.records])

    @property
    def groups(self) -> NDArray[np.str_]:
        return np.array([record.group for record in self.records])

    @property
    def hit(self) -> NDArray[np.bool_]:
        """Does the map's peak lie in a box, grown by the usual slack? ``False`` without boxes."""
        return np.array(
            [
                bool(record.boxes) and hits(map_, sized(record), self.size)
                for record, map_ in zip(self.records, self.outputs.map, strict=True)
            ]
        )


def write_outputs(path: Path, records: Sequence[Record], outputs: Outputs, **more: Any) -> None:
    """Write ``outputs`` for ``records`` as an .npz, whole or not at all."""
    partial = path.with_name(f"partial.{path.name}")
    np.savez(
        partial,
        image_id=np.array([record.id for record in records]),
        body_part=outputs.body_part,
        logit=outputs.logit,
        map=outputs.map,
        embedding=outputs.embedding,
        **more,
    )
    partial.replace(path)


def read_outputs(path: Path, records: Sequence[Record]) -> Outputs:
    """What ``write_outputs`` wrote for ``records``. Raises ``DatasetError`` if it was for others."""
    with np.load(path, allow_pickle=False) as arrays:
        if arrays["image_id"].tolist() != [record.id for record in records]:
            raise DatasetError(f"{path} holds the answers to other pictures: delete it.")
        return Outputs(**{field.name: arrays[field.name] for field in fields(Outputs)})


def write_table(path: Path, answers: OutOfFold) -> None:
    """One line a picture, as CSV: fold, labels, logit, part probabilities and whether the peak hits."""
    hit = answers.hit
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        named = [f"body_part_{body_part}" for body_part in answers.body_parts]
        writer.writerow(
            ["image_id", "group", "fold", "body_part", "abnormal", "logit", "peak_in_box", *named]
        )
        for row, record in enumerate(answers.records):
            writer.writerow(
                [
                    record.id,
                    record.group,
                    answers.fold[row],
                    record.body_part or "",
                    int(record.abnormal),
                    f"{answers.outputs.logit[row]:.4f}",
                    int(hit[row]) if record.boxes else "",
                    *(f"{value:.4f}" for value in answers.outputs.body_part[row]),
                ]
            )


def summary(answers: OutOfFold) -> dict[str, Any]:
    """Figures over all folds with bootstrap 95 % intervals by group, by fold and by true part.

    Logits of the folds' networks are compared as they are. True positives of the pointing game lie above
    the logit that 90 % of the normal pictures do not exceed. A figure is ``None`` where the pictures
    cannot give it.
    """
    label, logit, hit = answers.abnormal, answers.outputs.logit, answers.hit
    everything = np.ones(len(label), bool)
    boxed = label & np.array([bool(record.boxes) for record in answers.records])
    true = boxed & (logit > metrics.threshold_at_specificity(label, logit))
    truth = np.array([record.body_part or "" for record in answers.records])
    right = truth == np.array(answers.body_parts)[answers.outputs.body_part.argmax(axis=1)]

    def figure(rows: NDArray[np.bool_], value: Callable[[Rows], float]) -> Figure | None:
        chosen = np.flatnonzero(rows)
        try:
            return metrics.bootstrap(
                lambda some: value(chosen[some]), answers.groups[chosen], len(chosen), rounds=ROUNDS
            )
        except Undefined:
            return None

    def separation(rows: NDArray[np.bool_]) -> dict[str, Any]:
        return {
            "pictures": int(rows.sum()),
            "abnormal": int(label[rows].sum()),
            "auc": figure(rows, lambda r: metrics.auc(label[r], logit[r])),
            "sensitivity_at_90_specificity": figure(
                rows, lambda r: metrics.sensitivity_at_specificity(label[r], logit[r])
            ),
        }

    def share(rows: NDArray[np.bool_], values: NDArray[np.bool_]) -> Figure | None:
        return figure(rows, lambda r: float(values[r].mean())) if rows.any() else None

    return {
        "all": {
            **separation(everything),
            "pointing_all": share(boxed, hit),
            "pointing_true_positives": share(true, hit),
            "body_part_accuracy": share(truth != "", right),
        },
        "folds": {str(number): separation(answers.fold == number) for number in np.unique(answers.fold)},
        "body_parts": {
            body_part: separation(truth == body_part)
            for body_part in answers.body_parts
            if (truth == body_part).any()
        },
    }


def table(figures: dict[str, Any]) -> str:
    """``summary`` as Markdown."""
    everything = figures["all"]
    names = ("auc", "sensitivity_at_90_specificity")
    lines = ["| pictures | n | abnormal | AUC | sensitivity at 90 % specificity |", "|---" * 5 + "|"]
    rows = {"all": everything}
    rows |= {f"fold {number}": row for number, row in figures["folds"].items()}
    for name, row in (rows | figures["body_parts"]).items():
        values = " | ".join(_interval(row[key]) for key in names)
        lines.append(f"| {name} | {row['pictures']} | {row['abnormal']} | {values} |")
    lines += ["", "| over all pictures | value |", "|---|---|"]
    for key in ("pointing_all", "pointing_true_positives", "body_part_accuracy"):
        lines.append(f"| {key.replace('_', ' ')} | {_interval(everything[key])} |")
    return "\n".join(lines) + "\n"


def _interval(figure: Figure | None) -> str:
    return "none" if figure is None else f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
