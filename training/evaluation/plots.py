"""Plots of an evaluation, one PNG each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from training.evaluation import confusion as tables
from training.evaluation.predictions import Judged

mpl.use("Agg")
from matplotlib import pyplot as plt

INK, ACCENT, QUIET = "#1f2933", "#0b7285", "#9aa5b1"


def draw_all(judged: Judged, low: float, high: float, folder: Path) -> list[str]:
    """Write every plot to ``folder`` and return the file names, in the order of a report."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, Callable[[Any], None]] = {
        "roc.png": lambda axes: _roc(axes, judged),
        "precision-recall.png": lambda axes: _precision_recall(axes, judged),
        "reliability.png": lambda axes: _reliability(axes, judged),
        "probabilities.png": lambda axes: _probabilities(axes, judged, low, high),
        "trust.png": lambda axes: _trust(axes, judged),
        "parts.png": lambda axes: _parts(axes, judged),
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


def _roc(axes: Any, judged: Judged) -> None:
    false, true, _ = roc_curve(judged.abnormal, judged.probability)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8)
    axes.plot(false, true, color=ACCENT)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title="Receiver operating characteristic")


def _precision_recall(axes: Any, judged: Judged) -> None:
    precision, recall, _ = precision_recall_curve(judged.abnormal, judged.probability)
    axes.plot(recall, precision, color=ACCENT)
    axes.axhline(judged.abnormal.mean(), color=QUIET, linewidth=0.8)
    axes.set(xlabel="sensitivity", ylabel="precision", title="Precision and recall", ylim=(0, 1.02))


def _reliability(axes: Any, judged: Judged) -> None:
    order = np.argsort(judged.probability)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8)
    bins = np.array_split(order, min(10, len(order)))
    said = [float(judged.probability[rows].mean()) for rows in bins]
    true = [float(judged.abnormal[rows].mean()) for rows in bins]
    axes.plot(said, true, "o-", color=ACCENT)
    axes.set(xlabel="probability said", ylabel="share abnormal", title="Reliability, ten bins of equal mass")


def _probabilities(axes: Any, judged: Judged, low: float, high: float) -> None:
    edges = np.linspace(0, 1, 26)
    axes.hist(judged.probability[~judged.abnormal], edges, color=QUIET, label="normal", log=True)
    axes.hist(judged.probability[judged.abnormal], edges, color=ACCENT, alpha=0.75, label="abnormal")
    for threshold in (low, high):
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=0.9)
    axes.legend(frameon=False)
    axes.set(xlabel="probability", ylabel="pictures", title="Where the thresholds fall")


def _trust(axes: Any, judged: Judged) -> None:
    rows = judged.boxed & judged.abnormal
    edges = np.linspace(0, 1, 21)
    axes.hist(judged.trust[rows & judged.hit], edges, color=ACCENT, label="peak in a box")
    axes.hist(judged.trust[rows & ~judged.hit], edges, color=INK, alpha=0.7, label="peak elsewhere")
    axes.legend(frameon=False)
    axes.set(xlabel="trust", ylabel="abnormal pictures", title="Trust of hits and misses")


def _parts(axes: Any, judged: Judged) -> None:
    table = np.array([list(row.values()) for row in tables.parts(judged).values()])
    axes.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        if count:
            colour = "white" if count > table[row].sum() / 2 else INK
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    ticks = range(len(judged.parts))
    axes.set_xticks(ticks, judged.parts, rotation=90)
    axes.set_yticks(ticks, judged.parts)
    axes.set(xlabel="named", ylabel="labelled", title="Body part")
