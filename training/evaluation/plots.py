"""Plots of an evaluation, one PNG each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from training.evaluation import confusion
from training.evaluation.predictions import Predictions

mpl.use("Agg")
from matplotlib import pyplot as plt

INK, ACCENT, QUIET = "#1f2933", "#0b7285", "#9aa5b1"


def draw_all(predictions: Predictions, low: float, high: float, folder: Path) -> list[str]:
    """Write every plot to ``folder`` and return the file names, in the order of a report."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, Callable[[Any], None]] = {
        "roc.png": lambda axes: _roc(axes, predictions),
        "precision-recall.png": lambda axes: _precision_recall(axes, predictions),
        "reliability.png": lambda axes: _reliability(axes, predictions),
        "probabilities.png": lambda axes: _probabilities(axes, predictions, low, high),
        "peak.png": lambda axes: _peak(axes, predictions),
        "parts.png": lambda axes: _parts(axes, predictions),
    }
    for name, draw in drawn.items():
        figure, axes = plt.subplots(figsize=(6.4, 6.4) if name == "parts.png" else (4.8, 3.8), dpi=110)
        draw(axes)
        if name != "parts.png":
            axes.spines[["top", "right"]].set_visible(False)
        figure.tight_layout()
        figure.savefig(folder / name, metadata={"Software": None})
        plt.close(figure)
    return list(drawn)


def _roc(axes: Any, predictions: Predictions) -> None:
    false_rate, true_rate, _ = roc_curve(predictions.abnormal, predictions.probability)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8)
    axes.plot(false_rate, true_rate, color=ACCENT)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title="Receiver operating characteristic")


def _precision_recall(axes: Any, predictions: Predictions) -> None:
    precision, recall, _ = precision_recall_curve(predictions.abnormal, predictions.probability)
    axes.plot(recall, precision, color=ACCENT)
    axes.axhline(predictions.abnormal.mean(), color=QUIET, linewidth=0.8)
    axes.set(xlabel="sensitivity", ylabel="precision", title="Precision and recall", ylim=(0, 1.02))


def _reliability(axes: Any, predictions: Predictions) -> None:
    order = np.argsort(predictions.probability)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8)
    bins = np.array_split(order, min(10, len(order)))
    mean_probability = [float(predictions.probability[rows].mean()) for rows in bins]
    share_abnormal = [float(predictions.abnormal[rows].mean()) for rows in bins]
    axes.plot(mean_probability, share_abnormal, "o-", color=ACCENT)
    axes.set(
        xlabel="mean predicted probability",
        ylabel="share abnormal",
        title="Reliability, ten bins of equal mass",
    )


def _probabilities(axes: Any, predictions: Predictions, low: float, high: float) -> None:
    edges = np.linspace(0, 1, 26)
    axes.hist(predictions.probability[~predictions.abnormal], edges, color=QUIET, label="normal", log=True)
    axes.hist(
        predictions.probability[predictions.abnormal], edges, color=ACCENT, alpha=0.75, label="abnormal"
    )
    for threshold in (low, high):
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=0.9)
    axes.legend(frameon=False)
    axes.set(xlabel="probability", ylabel="pictures", title="Where the thresholds fall")


def _peak(axes: Any, predictions: Predictions) -> None:
    rows = predictions.boxed & predictions.abnormal
    heights = predictions.height[rows] if rows.any() else np.zeros(1)
    edges = np.linspace(float(heights.min()), float(heights.max()), 21)
    axes.hist(predictions.height[rows & predictions.hit], edges, color=ACCENT, label="peak in a box")
    axes.hist(
        predictions.height[rows & ~predictions.hit], edges, color=INK, alpha=0.7, label="peak elsewhere"
    )
    axes.legend(frameon=False)
    axes.set(xlabel="peak of the map", ylabel="abnormal pictures", title="Peaks of hits and misses")


def _parts(axes: Any, predictions: Predictions) -> None:
    table = np.array([list(row.values()) for row in confusion.body_parts(predictions).values()])
    axes.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        if count:
            colour = "white" if count > table[row].sum() / 2 else INK
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    ticks = range(len(predictions.body_parts))
    axes.set_xticks(ticks, predictions.body_parts, rotation=90)
    axes.set_yticks(ticks, predictions.body_parts)
    axes.set(xlabel="named", ylabel="labelled", title="Body part")
