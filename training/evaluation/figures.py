"""All figures of a report from a bundle's predictions: verdict, part, heatmap, trust, scope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_worker.manifest import RESULTS, Thresholds
from training.datasets.fracatlas import NEIGHBOURS
from training.evaluation import confusion, metrics
from training.evaluation.heatmaps import inside, share_inside, slack_of
from training.evaluation.metrics import Figure, Undefined
from training.evaluation.predictions import Predictions

#: No figure is given for a part with fewer abnormal pictures than this.
ENOUGH = 10
PREVALENCES = (0.02, 0.05, 0.10, 0.20)
#: The slice of all cases on whose body part the bundle gives verdicts.
JUDGED = "judged body parts"
Figures = dict[str, Figure]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cases:
    """Pictures or studies that are evaluated: arrays over N of them.

    ``probability`` is that of being abnormal; ``screened`` is the same, but -1 where the out-of-distribution
    detector refused the case, which then is neither abnormal nor uncertain, and the threshold ``low`` where
    the bundle does not judge the part that it names, so that the case is uncertain; ``judged`` says where it
    does. ``part`` is the true one, empty where unknown. ``flags`` are sets of words.
    """

    label: NDArray[np.bool_]
    probability: NDArray[np.float64]
    screened: NDArray[np.float64]
    groups: NDArray[np.str_]
    body_part: NDArray[np.str_]
    judged: NDArray[np.bool_]
    flags: tuple[frozenset[str], ...]

    def __len__(self) -> int:
        return len(self.label)

    def flagged(self, *flags: str) -> Mask:
        """Those that carry any of ``flags``."""
        return np.array([bool(own & set(flags)) for own in self.flags])


def pictures(predictions: Predictions, low: float) -> Cases:
    """Every picture for itself."""
    seen = np.where(predictions.judged, predictions.probability, low)
    return Cases(
        label=predictions.abnormal,
        probability=predictions.probability,
        screened=np.where(predictions.distance > 1, -1.0, seen),
        groups=predictions.groups,
        body_part=np.array([record.body_part or "" for record in predictions.records]),
        judged=predictions.judged,
        flags=tuple(record.flags for record in predictions.records),
    )


def studies(predictions: Predictions, low: float) -> Cases | None:
    """Pictures of one group and study together, as MURA and the portal do: their mean probability.

    ``screened`` leaves out the pictures that the detector refused; it is -1 where all were refused.
    ``None`` where no picture names a study.
    """
    rows: dict[tuple[str, str], list[int]] = {}
    for row, record in enumerate(predictions.records):
        if record.study:
            rows.setdefault((record.group, record.study), []).append(row)
    if not rows:
        return None
    views = pictures(predictions, low)
    supported = predictions.distance <= 1

    def judged(own: list[int]) -> bool:
        named = predictions.body_parts[int(predictions.body_part[own].mean(axis=0).argmax())]
        return named not in predictions.unjudged

    def screened(own: list[int]) -> float:
        seen = views.probability[own][supported[own]]
        if not len(seen):
            return -1.0
        return float(seen.mean()) if judged(own) else low

    return Cases(
        label=np.array([bool(views.label[own].any()) for own in rows.values()]),
        probability=np.array([float(views.probability[own].mean()) for own in rows.values()]),
        screened=np.array([screened(own) for own in rows.values()]),
        groups=np.array([group for group, _ in rows]),
        body_part=np.array([views.body_part[own[0]] for own in rows.values()]),
        judged=np.array([judged(own) for own in rows.values()]),
        flags=tuple(frozenset().union(*(views.flags[row] for row in own)) for own in rows.values()),
    )


def verdict_figures(cases: Cases, rows: Mask, low: float, high: float) -> Figures:
    """How well the labels of ``rows`` are separated. An abnormal case that was refused is a miss."""
    label, probability, screened = cases.label[rows], cases.probability[rows], cases.screened[rows]
    wanted: dict[str, Callable[[NDArray[np.intp]], float]] = {
        "auc": lambda r: metrics.auc(label[r], probability[r]),
        "average_precision": lambda r: metrics.average_precision(label[r], probability[r]),
        "sensitivity_at_90_specificity": lambda r: metrics.sensitivity_at_specificity(
            label[r], probability[r]
        ),
        "sensitivity_at_low": lambda r: metrics.sensitivity_at(label[r], screened[r], low),
        "specificity_at_low": lambda r: metrics.specificity_at(label[r], screened[r], low),
        "sensitivity_at_high": lambda r: metrics.sensitivity_at(label[r], screened[r], high),
        "specificity_at_high": lambda r: metrics.specificity_at(label[r], screened[r], high),
        "precision_at_high": lambda r: metrics.precision_at(label[r], screened[r], high),
        "kappa_at_high": lambda r: metrics.kappa(label[r], screened[r] >= high),
        "uncertain": lambda r: float(((screened[r] >= low) & (screened[r] < high)).mean()),
        "brier": lambda r: metrics.brier(label[r], probability[r]),
        "ece": lambda r: metrics.calibration_error(label[r], probability[r]),
    }
    return _all(wanted, cases.groups[rows], int(rows.sum()))


def study_figures(cases: Cases, low: float, high: float) -> Figures:
    """The same for studies, and the kappa of MURA's own table, at a probability of a half."""
    half = {"kappa_at_half": lambda r: metrics.kappa(cases.label[r], cases.probability[r] >= 0.5)}
    figures = verdict_figures(cases, np.ones(len(cases), bool), low, high)
    figures |= _all(half, cases.groups, len(cases))
    return {f"study_{name}": figure for name, figure in figures.items()}


def part_figures(predictions: Predictions) -> Figures:
    """Body part exactly right, and right when a neighbouring part counts."""
    rows = np.array([record.body_part is not None for record in predictions.records])
    truth = np.array([record.body_part or "" for record in predictions.records])[rows]
    top_body_part = predictions.top_body_part[rows]
    exact = truth == top_body_part
    near = exact | np.array(
        [frozenset((a, b)) in NEIGHBOURS for a, b in zip(truth, top_body_part, strict=True)], bool
    )
    wanted: dict[str, Callable[[NDArray[np.intp]], float]] = {
        "body_part_accuracy": lambda r: float(exact[r].mean()),
        "body_part_accuracy_with_neighbours": lambda r: float(near[r].mean()),
    }
    return _all(wanted, predictions.groups[rows], int(rows.sum()))


def operating_point(predictions: Predictions) -> float:
    """The probability that 90 % of the normal pictures do not exceed: true positives lie above it."""
    return metrics.threshold_at_specificity(predictions.abnormal, predictions.probability)


def heatmap_figures(predictions: Predictions) -> Figures:
    """Pointing game and evidence in the boxes, beside the centre of the picture and a random point.

    True positives are the boxed pictures above ``operating_point``.
    """
    boxed = predictions.boxed & predictions.abnormal
    true = boxed & (predictions.probability > operating_point(predictions))
    centre = np.array(
        [
            inside((r.width / 2, r.height / 2), r.boxes, slack_of(r)) if r.boxes else False
            for r in predictions.records
        ]
    )
    random = np.array([share_inside(record) if record.boxes else 0.0 for record in predictions.records])
    figures: Figures = {}
    for name, rows, values in (
        ("pointing_true_positives", true, predictions.hit),
        ("pointing_all", boxed, predictions.hit),
        ("pointing_true_positives_no_slack", true, predictions.strict),
        ("pointing_centre", true, centre),
        ("pointing_random", true, random),
        ("energy_in_boxes", true, predictions.energy),
    ):
        figures |= _all({name: _mean_of(values[rows])}, predictions.groups[rows], int(rows.sum()))
    return figures


def _mean_of(values: NDArray[Any]) -> Callable[[NDArray[np.intp]], float]:
    return lambda rows: float(values[rows].mean())


def trust_figures(predictions: Predictions) -> Figures:
    """Does trust separate hits from misses, among boxed abnormal pictures, better than the peak's height?"""
    rows = predictions.boxed & predictions.abnormal
    hit = predictions.hit[rows]
    wanted: dict[str, Callable[[NDArray[np.intp]], float]] = {
        "peak_height_auroc": lambda r: metrics.auc(hit[r], predictions.height[rows][r]),
    }
    if not np.isnan(predictions.trust).any():  # a bundle may have no trust score
        wanted["trust_auroc"] = lambda r: metrics.auc(hit[r], predictions.trust[rows][r])
    return _all(wanted, predictions.groups[rows], int(rows.sum()))


def visible_figures(predictions: Predictions) -> Figures:
    """The share of boxed abnormal pictures on which nothing is drawn."""
    rows = predictions.boxed & predictions.abnormal
    blank = predictions.height[rows] <= 0
    return _all({"nothing_drawn": lambda r: float(blank[r].mean())}, predictions.groups[rows], len(blank))


def scope_figures(predictions: Predictions) -> Figures:
    """The share of radiographs that the out-of-distribution detector refuses."""
    refused = predictions.distance > 1
    return _all(
        {"out_of_distribution_rejected": lambda r: float(refused[r].mean())}, predictions.groups, len(refused)
    )


def slices(cases: Cases) -> dict[str, Mask]:
    """Which cases besides all: with and without metal and casts, without burned-in text, by part.

    A part, or what carries a flag, only with enough abnormal ones; what lacks a flag only if some have it.
    """
    metal, cast = cases.flagged("hw"), cases.flagged("cast")
    masks = {"all": np.ones(len(cases), bool)}
    if not cases.judged.all():
        masks[JUDGED] = cases.judged
    for name, without in (
        ("without metal", metal),
        ("without metal and casts", metal | cast),
        ("without burned-in text", cases.flagged("text")),
    ):
        if without.any():
            masks[name] = ~without
    few = {"with metal": metal, "with casts": cast}
    few |= {
        str(body_part): cases.body_part == body_part
        for body_part in np.unique(cases.body_part[cases.body_part != ""])
    }
    return masks | {name: rows for name, rows in few.items() if int(cases.label[rows].sum()) >= ENOUGH}


def rates(cases: Cases, thresholds: Thresholds) -> dict[str, Any]:
    """What became of the cases that are judged: how many got each answer, and how many of them were abnormal.

    Refused ones count among all, under no answer.
    """
    label, probability = cases.label[cases.judged], cases.screened[cases.judged]
    even = thresholds.even if thresholds.even is not None else thresholds.high
    edges = (0.0, thresholds.low, even, thresholds.high, np.inf)

    def counted(rows: Mask) -> dict[str, int]:
        return {"pictures": int(rows.sum()), "abnormal": int(label[rows].sum())}

    return {
        "prevalence": round(float(label.mean()), 4),
        "pictures": len(label),
        **{
            name: counted((probability >= start) & (probability < end))
            for name, start, end in zip(RESULTS, edges[:-1], edges[1:], strict=True)
        },
    }


def all_figures(predictions: Predictions, thresholds: Thresholds) -> dict[str, Any]:
    """Everything a report holds, as ``{section: {name: Figure}}`` and counts."""
    low, high = thresholds.low, thresholds.high
    single, joined = pictures(predictions, low), studies(predictions, low)
    overall = verdict_figures(single, np.ones(len(single), bool), low, high)
    sliced = {name: verdict_figures(single, rows, low, high) for name, rows in slices(single).items()}
    # Only what is judged is called anything.
    called, normal = sliced.get(JUDGED, overall), single.judged & ~single.label
    return {
        "headline": {
            **overall,
            **(study_figures(joined, low, high) if joined else {}),
            **part_figures(predictions),
            **heatmap_figures(predictions),
            **trust_figures(predictions),
            **visible_figures(predictions),
            **scope_figures(predictions),
        },
        "slices": sliced,
        "study_slices": {
            name: verdict_figures(joined, rows, low, high) for name, rows in slices(joined).items()
        }
        if joined
        else {},
        "counts": counts(predictions),
        "rates": rates(single, thresholds),
        "confusion": {
            "verdict": confusion.verdicts(single.label, single.screened, low, high),
            **({"study": confusion.verdicts(joined.label, joined.screened, low, high)} if joined else {}),
            "part": confusion.body_parts(predictions),
        },
        "perfect_ece": metrics.perfect_calibration_error(predictions.probability),
        "predictive_values": predictive_values(
            {name: figure.value for name, figure in called.items()}, int(normal.sum())
        ),
    }


def predictive_values(overall: Mapping[str, float], normal: int) -> dict[str, dict[str, float]]:
    """Of the pictures called, the share that are abnormal, by prevalence and threshold.

    Specificity is taken a little worse than seen among ``normal`` pictures, by Laplace's rule: none
    called falsely among a few hundred does not mean that none ever is.
    """
    values: dict[str, dict[str, float]] = {}
    for share in PREVALENCES:
        values[f"{share:.0%}"] = {}
        for name in ("low", "high"):
            specificity = (overall[f"specificity_at_{name}"] * normal + 1) / (normal + 2)
            value = metrics.predictive_value(overall[f"sensitivity_at_{name}"], specificity, share)
            values[f"{share:.0%}"][name] = value
    return values


def counts(predictions: Predictions) -> dict[str, dict[str, int]]:
    """Pictures and abnormal pictures by true part."""
    truth = np.array([record.body_part or "other" for record in predictions.records])
    return {
        body_part: {
            "pictures": int((truth == body_part).sum()),
            "abnormal": int(predictions.abnormal[truth == body_part].sum()),
        }
        for body_part in (*predictions.body_parts, "other")
    }


def _all(wanted: dict[str, Callable[[NDArray[np.intp]], float]], groups: NDArray[Any], n: int) -> Figures:
    figures: Figures = {}
    if not n:
        return figures
    for name, figure in wanted.items():
        try:
            figures[name] = metrics.bootstrap(figure, groups, n, rounds=500)
        except Undefined:
            continue
    return figures
