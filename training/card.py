"""The model card: what a bundle is for, how good it is, and where it fails. Written from its own figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from training.evaluate import FIGURES, said
from training.export import MANIFEST, sha256, write_manifest

CARD = "card.md"
#: What the manifest repeats, so that the portal can show it.
HEADLINE = (
    "auc",
    "average_precision",
    "sensitivity_at_90_specificity",
    "sensitivity_at_low",
    "specificity_at_low",
    "sensitivity_at_high",
    "specificity_at_high",
    "uncertain",
    "brier",
    "ece",
    "part_accuracy",
    "part_accuracy_with_neighbours",
    "pointing_true_positives",
    "pointing_all",
    "trust_auroc",
    "scope_rejected",
)
PLOTS = ("roc.png", "precision-recall.png", "reliability.png", "trust.png", "parts.png")

TEMPLATE = Path(__file__).parent / "templates" / "card.md"


def write_card(folder: Path, evaluation: Path) -> None:
    """Put what ``evaluate`` left in ``evaluation`` into the bundle ``folder``: metrics, card, plots."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    found: dict[str, Any] = json.loads((evaluation / FIGURES).read_text(encoding="utf-8"))
    manifest["metrics"] = {
        name: {key: round(value, 4) for key, value in found["headline"][name].items()}
        for name in HEADLINE
        if name in found["headline"]
    }
    (folder / CARD).write_text(_text(manifest, found), encoding="utf-8")
    for name in PLOTS:
        shutil.copyfile(evaluation / name, folder / name)
    manifest["files"] |= {name: sha256(folder / name) for name in (CARD, *PLOTS)}
    write_manifest(folder, manifest)


def _text(manifest: dict[str, Any], found: dict[str, Any]) -> str:
    from training.figures import ENOUGH

    thresholds, data = manifest["thresholds"], manifest["data"]
    total = {kind: sum(row[kind] for row in found["counts"].values()) for kind in ("pictures", "abnormal")}
    metal = found["slices"].get("without metal")
    return TEMPLATE.read_text(encoding="utf-8").format(
        label=f"{manifest['name']} {manifest['version']}",
        size=manifest["input"]["size"],
        **{key: manifest["map"][key] for key in ("height", "width", "pooling", "temperature", "features")},
        trained=data["trained_on"],
        calibrated=data["calibrated_on"],
        prevalence=manifest["prevalence"],
        attribution=data["attribution"],
        licence=data["licence"],
        metal="Nearly all pictures with metal are fractured in the source"
        + (f"; without them the AUC is {said(metal['auc'])}." if metal else "."),
        counts=f"{total['pictures']} pictures, {total['abnormal']} abnormal.",
        headline="\n".join(
            f"| {name.replace('_', ' ')} | {said(figure)} |" for name, figure in found["headline"].items()
        ),
        low=thresholds["low"],
        high=thresholds["high"],
        promise=_promise(thresholds),
        perfect=found["perfect_ece"],
        slices="\n".join(
            f"| {name} | {said(row['auc'])} | {said(row['sensitivity_at_90_specificity'])} |"
            for name, row in found["slices"].items()
            if "auc" in row
        ),
        enough=ENOUGH,
        predictive="\n".join(
            f"| {share} | {row['low']:.0%} | {row['high']:.0%} |"
            for share, row in found["predictive_values"].items()
        ),
    )


def _promise(thresholds: dict[str, Any]) -> str:
    if not thresholds.get("crossed"):
        return (
            "In the calibration fold at most 5 % of the fractured fell below `low`, and at least 90 % "
            "of what lay above `high` was fractured."
        )
    broken = thresholds["broken"]
    return "The two promises crossed in the calibration fold, so both are its midpoint" + (
        f"; there it fails to keep {broken}." if broken else "; there it keeps both."
    )
