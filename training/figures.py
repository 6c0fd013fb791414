"""All figures of a report from a bundle's answers: verdict, part, heatmap, trust, scope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import metrics
from training.datasets.fracatlas import NEIGHBOURS
from training.heatmaps import inside, share_inside, slack_of
from training.judged import Judged
from training.metrics import Figure, Undefined

#: No figure is given for a part with fewer abnormal pictures than this.
ENOUGH = 10
PREVALENCES = (0.02, 0.05, 0.10, 0.20)
Figures = dict[str, Figure]
Mask = NDArray[np.bool_]


def verdict_figures(judged: Judged, rows: Mask, low: float, high: float) -> Figures:
    """How well the pictures ``rows`` are told apart. An abnormal picture lost to the gate is a miss."""
    label = judged.abnormal[rows]
    chance = judged.probability[rows]
    # Nothing is called abnormal, or uncertain, that the gate turned away.
    called = np.where(judged.distance[rows] > 1, -1.0, chance)
    wanted: dict[str, Callable[[NDArray[np.intp]], float]] = {
        "auc": lambda r: metrics.auc(label[r], chance[r]),
        "average_precision": lambda r: metrics.average_precision(label[r], chance[r]),
        "sensitivity_at_90_specificity": lambda r: metrics.sensitivity_at_specificity(label[r], chance[r]),
        "sensitivity_at_low": lambda r: metrics.sensitivity_at(label[r], called[r], low),
        "specificity_at_low": lambda r: metrics.specificity_at(label[r], called[r], low),
        "sensitivity_at_high": lambda r: metrics.sensitivity_at(label[r], called[r], high),
        "specificity_at_high": lambda r: metrics.specificity_at(label[r], called[r], high),
        "kappa_at_high": lambda r: metrics.kappa(label[r], called[r] >= high),
        "uncertain": lambda r: float(((called[r] >= low) & (called[r] < high)).mean()),
        "brier": lambda r: metrics.brier(label[r], chance[r]),
        "ece": lambda r: metrics.calibration_error(label[r], chance[r]),
    }
    return _all(wanted, judged.groups[rows], int(rows.sum()))


def study_figures(judged: Judged) -> Figures:
    """Per study, as MURA does: the mean of its pictures' probabilities; empty where no study is named."""
    studies = np.array([record.study or "" for record in judged.records])
    names = sorted(set(studies) - {""})
    if not names:
        return {}
    rows = [studies == name for name in names]
    label = np.array([bool(judged.abnormal[own].any()) for own in rows])
    chance = np.array([float(judged.probability[own].mean()) for own in rows])
    groups = np.array([judged.groups[own][0] for own in rows])
    wanted: dict[str, Callable[[NDArray[np.intp]], float]] = {
        "study_auc": lambda r: metrics.auc(label[r], chance[r]),
        "study_kappa": lambda r: metrics.kappa(label[r], chance[r] >= 0.5),
    }
    return _all(wanted, groups, len(names))


def part_figures(judged: Judged) -> Figures:
    """Body part exactly right, and right when a neighbouring part counts."""
    rows = np.array([record.part is not None for record in judged.records])
    truth = np.array([record.part or "" for record in judged.records])[rows]
    named = judged.named[rows]
    exact = truth == named
    near = exact | np.array(
        [frozenset((a, b)) in NEIGHBOURS for a, b in zip(truth, named, strict=True)], bool
    )
    wanted: dict[str, Callable[[NDArray[np.intp]], float]] = {
        "part_accuracy": lambda r: float(exact[r].mean()),
        "part_accuracy_with_neighbours": lambda r: float(near[r].mean()),
    }
    return _all(wanted, judged.groups[rows], int(rows.sum()))


def operating_point(judged: Judged) -> float:
    """The probability above which 10 % of the normal pictures lie: where "true positives" are counted."""
    return float(np.quantile(judged.probability[~judged.abnormal], 0.9, method="higher"))


def heatmap_figures(judged: Judged) -> Figures:
    """Pointing game and evidence in the boxes, beside the centre of the picture and a random point.

    True positives are the boxed pictures above ``operating_point``.
    """
    boxed = judged.boxed & judged.abnormal
    true = boxed & (judged.probability > operating_point(judged))
    centre = np.array(
        [
            inside((r.width / 2, r.height / 2), r.boxes, slack_of(r)) if r.boxes else False
            for r in judged.records
        ]
    )
    random = np.array([share_inside(record) if record.boxes else 0.0 for record in judged.records])
    found: Figures = {}
    for name, rows, values in (
        ("pointing_true_positives", true, judged.hit),
        ("pointing_all", boxed, judged.hit),
        ("pointing_true_positives_no_slack", true, judged.strict),
        ("pointing_centre", true, centre),
        ("pointing_random", true, random),
        ("energy_in_boxes", true, judged.energy),
    ):
        found |= _all({name: _mean_of(values[rows])}, judged.groups[rows], int(rows.sum()))
    return found


def _mean_of(values: NDArray[Any]) -> Callable[[NDArray[np.intp]], float]:
    return lambda rows: float(values[rows].mean())


def trust_figures(judged: Judged) -> Figures:
    """Does trust separate hits from misses, among boxed abnormal pictures, better than the peak's height?"""
    rows = judged.boxed & judged.abnormal
    hit = judged.hit[rows]
    wanted: dict[str, Callable[[NDArray[np.intp]], float]] = {
        "trust_auroc": lambda r: metrics.auc(hit[r], judged.trust[rows][r]),
        "peak_height_auroc": lambda r: metrics.auc(hit[r], judged.height[rows][r]),
    }
    return _all(wanted, judged.groups[rows], int(rows.sum()))


def scope_figures(judged: Judged) -> Figures:
    """Radiographs that the gate turned away."""
    lost = judged.distance > 1
    return _all({"scope_rejected": lambda r: float(lost[r].mean())}, judged.groups, len(lost))


def slices(judged: Judged) -> dict[str, Mask]:
    """Which pictures besides all: without metal and casts, without burned-in text, by part."""
    everything = np.ones(len(judged.records), bool)
    found = {
        "all": everything,
        "without metal": ~judged.flagged("hw"),
        "without metal and casts": ~judged.flagged("hw", "cast"),
        "without burned-in text": ~judged.flagged("text"),
    }
    for part in judged.parts:
        rows = np.array([record.part == part for record in judged.records])
        if int(judged.abnormal[rows].sum()) >= ENOUGH:
            found[part] = rows
    return found


def all_figures(judged: Judged, low: float, high: float) -> dict[str, Any]:
    """Everything a report holds, as ``{section: {name: Figure}}`` and counts."""
    overall = verdict_figures(judged, np.ones(len(judged.records), bool), low, high)
    return {
        "headline": {
            **overall,
            **study_figures(judged),
            **part_figures(judged),
            **heatmap_figures(judged),
            **trust_figures(judged),
            **scope_figures(judged),
        },
        "slices": {name: verdict_figures(judged, rows, low, high) for name, rows in slices(judged).items()},
        "counts": counts(judged),
        "perfect_ece": metrics.perfect_calibration_error(judged.probability),
        "predictive_values": predictive_values(
            {name: figure.value for name, figure in overall.items()}, int((~judged.abnormal).sum())
        ),
    }


def predictive_values(overall: Mapping[str, float], normal: int) -> dict[str, dict[str, float]]:
    """Of the pictures called, the share that are abnormal, by prevalence and threshold.

    Specificity is taken a little worse than seen among ``normal`` pictures, by Laplace's rule: none
    called falsely among a few hundred does not mean that none ever is.
    """
    found: dict[str, dict[str, float]] = {}
    for share in PREVALENCES:
        found[f"{share:.0%}"] = {}
        for name in ("low", "high"):
            specificity = (overall[f"specificity_at_{name}"] * normal + 1) / (normal + 2)
            value = metrics.predictive_value(overall[f"sensitivity_at_{name}"], specificity, share)
            found[f"{share:.0%}"][name] = value
    return found


def counts(judged: Judged) -> dict[str, dict[str, int]]:
    """Pictures and abnormal pictures by true part."""
    truth = np.array([record.part or "other" for record in judged.records])
    return {
        part: {"pictures": int((truth == part).sum()), "abnormal": int(judged.abnormal[truth == part].sum())}
        for part in (*judged.parts, "other")
    }


def _all(wanted: dict[str, Callable[[NDArray[np.intp]], float]], groups: NDArray[Any], n: int) -> Figures:
    found: Figures = {}
    if not n:
        return found
    for name, figure in wanted.items():
        try:
            found[name] = metrics.bootstrap(figure, groups, n, rounds=500)
        except Undefined:
            continue
    return found
