"""All figures of a report from a bundle's answers: verdict, part, heatmap, trust, scope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.datasets.fracatlas import NEIGHBOURS
from training.evaluation import confusion as tables
from training.evaluation import metrics
from training.evaluation.heatmaps import inside, share_inside, slack_of
from training.evaluation.metrics import Figure, Undefined
from training.evaluation.predictions import Judged

#: No figure is given for a part with fewer abnormal pictures than this.
ENOUGH = 10
PREVALENCES = (0.02, 0.05, 0.10, 0.20)
Figures = dict[str, Figure]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Cases:
    """What is judged, pictures or studies: arrays over N of them.

    ``chance`` is the probability, ``called`` the same but -1 where the scope gate turned it away: nothing is
    called abnormal, or uncertain, there. ``part`` is the true one, empty where unknown. ``flags`` are sets.
    """

    label: NDArray[np.bool_]
    chance: NDArray[np.float64]
    called: NDArray[np.float64]
    groups: NDArray[np.str_]
    part: NDArray[np.str_]
    flags: tuple[frozenset[str], ...]

    def __len__(self) -> int:
        return len(self.label)

    def flagged(self, *flags: str) -> Mask:
        """Those that carry any of ``flags``."""
        return np.array([bool(own & set(flags)) for own in self.flags])


def pictures(judged: Judged) -> Cases:
    """Every picture for itself."""
    return Cases(
        label=judged.abnormal,
        chance=judged.probability,
        called=np.where(judged.distance > 1, -1.0, judged.probability),
        groups=judged.groups,
        part=np.array([record.part or "" for record in judged.records]),
        flags=tuple(record.flags for record in judged.records),
    )


def studies(judged: Judged) -> Cases | None:
    """Pictures of one group and study together, as MURA and the portal do: their mean probability.

    What is called leaves out the pictures that the gate turned away, unless it turned away all.
    ``None`` where no picture names a study.
    """
    rows: dict[tuple[str, str], list[int]] = {}
    for row, record in enumerate(judged.records):
        if record.study:
            rows.setdefault((record.group, record.study), []).append(row)
    if not rows:
        return None
    views = pictures(judged)

    def called(own: list[int]) -> float:
        seen = views.called[own]
        return float(seen[seen >= 0].mean()) if (seen >= 0).any() else -1.0

    return Cases(
        label=np.array([bool(views.label[own].any()) for own in rows.values()]),
        chance=np.array([float(views.chance[own].mean()) for own in rows.values()]),
        called=np.array([called(own) for own in rows.values()]),
        groups=np.array([group for group, _ in rows]),
        part=np.array([views.part[own[0]] for own in rows.values()]),
        flags=tuple(frozenset().union(*(views.flags[row] for row in own)) for own in rows.values()),
    )


def verdict_figures(cases: Cases, rows: Mask, low: float, high: float) -> Figures:
    """How well the cases ``rows`` are told apart. An abnormal one lost to the gate is a miss."""
    label, chance, called = cases.label[rows], cases.chance[rows], cases.called[rows]
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
    return _all(wanted, cases.groups[rows], int(rows.sum()))


def study_figures(cases: Cases, low: float, high: float) -> Figures:
    """The same for studies, and the kappa of MURA's own table, at a probability of a half."""
    half = {"kappa_at_half": lambda r: metrics.kappa(cases.label[r], cases.chance[r] >= 0.5)}
    found = verdict_figures(cases, np.ones(len(cases), bool), low, high)
    found |= _all(half, cases.groups, len(cases))
    return {f"study_{name}": figure for name, figure in found.items()}


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
    """The probability that 90 % of the normal pictures do not exceed: true positives lie above it."""
    return metrics.threshold_at_specificity(judged.abnormal, judged.probability)


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


def slices(cases: Cases) -> dict[str, Mask]:
    """Which cases besides all: with and without metal and casts, without burned-in text, by part.

    A part, or what carries a flag, only with enough abnormal ones; what lacks a flag only if some have it.
    """
    metal, cast = cases.flagged("hw"), cases.flagged("cast")
    found = {"all": np.ones(len(cases), bool)}
    for name, without in (
        ("without metal", metal),
        ("without metal and casts", metal | cast),
        ("without burned-in text", cases.flagged("text")),
    ):
        if without.any():
            found[name] = ~without
    few = {"with metal": metal, "with casts": cast}
    few |= {str(part): cases.part == part for part in np.unique(cases.part[cases.part != ""])}
    return found | {name: rows for name, rows in few.items() if int(cases.label[rows].sum()) >= ENOUGH}


def all_figures(judged: Judged, low: float, high: float) -> dict[str, Any]:
    """Everything a report holds, as ``{section: {name: Figure}}`` and counts."""
    single, joined = pictures(judged), studies(judged)
    overall = verdict_figures(single, np.ones(len(single), bool), low, high)
    return {
        "headline": {
            **overall,
            **(study_figures(joined, low, high) if joined else {}),
            **part_figures(judged),
            **heatmap_figures(judged),
            **trust_figures(judged),
            **scope_figures(judged),
        },
        "slices": {name: verdict_figures(single, rows, low, high) for name, rows in slices(single).items()},
        "study_slices": {
            name: verdict_figures(joined, rows, low, high) for name, rows in slices(joined).items()
        }
        if joined
        else {},
        "counts": counts(judged),
        "confusion": {
            "verdict": tables.verdicts(single.label, single.called, low, high),
            **({"study": tables.verdicts(joined.label, joined.called, low, high)} if joined else {}),
            "part": tables.parts(judged),
        },
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
