"""How good is a bundle? Figures with intervals, plots, one HTML report and one JSON file."""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from inference_worker.bundle import Bundle
from training.datasets.checks import check
from training.datasets.record import Dataset, DatasetError, Split
from training.evaluation.confusion import Table, classification
from training.evaluation.figures import all_figures
from training.evaluation.plots import draw_all
from training.evaluation.predictions import predict

REPORT, FIGURES = "report.html", "figures.json"
logger = logging.getLogger(__name__)


def evaluate(
    folder: Path, dataset: Dataset, split: Split, cache: Path, out: Path, explanations: Path | None = None
) -> dict[str, Any]:
    """Judge ``dataset``'s ``split`` with the bundle in ``folder`` and write plots and reports to ``out``.

    Figures are per picture, and per study where the data name studies; FracAtlas does not.
    ``explanations`` is the file that ``training.evaluation.explain`` wrote for this bundle: its
    figures, of the calibration fold, stand in the report as they are. Returns what ``figures.json``
    holds. Raises ``DatasetError`` before any picture is read if data or that file will not do.
    """
    check(dataset)
    bundle = Bundle.load(folder)
    compared = _read_comparison(explanations, bundle.manifest.label) if explanations else None
    predictions = predict(bundle, dataset.split(split), cache)
    thresholds = bundle.manifest.thresholds
    figures = all_figures(predictions, thresholds)
    out.mkdir(parents=True, exist_ok=True)
    plots = draw_all(predictions, thresholds.low, thresholds.high, out)
    plain: dict[str, Any] = json.loads(json.dumps(figures, default=_plain))
    plain["bundle"] = bundle.manifest.label
    plain["split"] = split
    plain["data"] = {
        "name": dataset.name,
        "attribution": dataset.attribution,
        "licence": dataset.licence,
        "about": dataset.about,
    }
    if compared is not None:
        plain["explanations"] = compared
    (out / FIGURES).write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / REPORT).write_text(_page(plain, plots), encoding="utf-8")
    logger.info("%s", out / REPORT)
    return plain


def per_study(figures: dict[str, Any]) -> str:
    """What the figures per study are, or why there are none."""
    if figures["study_slices"]:
        return "Figures per study (their names begin so) take the mean of the probabilities of its pictures."
    return "Per study: not available, the data names no studies."


def format_figure(figure: dict[str, Any]) -> str:
    """``0.912 (0.870 to 0.944), n = 624``."""
    return f"{_format_value(figure)}, n = {figure['n']}"


def _read_comparison(path: Path, label: str) -> dict[str, Any]:
    try:
        comparison: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        of = comparison["bundle"]
        _explanations(comparison)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path} is no file of figures that explain wrote ({error!r}).") from error
    if of != label:
        raise DatasetError(f"{path} explains {of}, not {label}: run explain again.")
    return comparison


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _page(figures: dict[str, Any], plots: list[str]) -> str:
    title = html.escape(f"{figures['bundle']} on {figures['data']['name']}, {figures['split']} split")
    sections = [_table("All pictures", figures["headline"])]
    sections += [_table(name, row) for name, row in figures["slices"].items() if name != "all"]
    sections += [
        _table(f"{name}, by study", row) for name, row in figures["study_slices"].items() if name != "all"
    ]
    sections += [_confusion(name, table) for name, table in figures["confusion"].items()]
    pictures = "".join(f'<img src="{name}" alt="{name.removesuffix(".png")}">' for name in plots)
    expected_error = (
        f"A perfectly calibrated model of this size would show an ECE of {figures['perfect_ece']:.3f}."
    )
    explained = _explanations(figures["explanations"]) if "explanations" in figures else ""
    credit = html.escape(f"{figures['data']['attribution']} {figures['data']['licence']}".strip())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "td,th{text-align:left;padding:.15rem 1rem .15rem 0}img{max-width:100%}</style>"
        f"<h1>{title}</h1><p>Values with bootstrap 95 % intervals by group. {per_study(figures)} "
        "Research use only.</p>"
        f"{''.join(sections)}<p>{expected_error}</p>{pictures}{explained}<p>{credit}</p></html>\n"
    )


def _table(name: str, figures: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(key.replace('_', ' '))}</th><td>{format_figure(figure)}</td></tr>"
        for key, figure in figures.items()
    )
    return f"<h2>{html.escape(name)}</h2><table>{rows}</table>"


def _confusion(name: str, table: Table) -> str:
    """Truth by answer, and precision and recall of every answer that is also a truth."""
    answers = list(next(iter(table.values())))
    head = "".join(f"<th>{html.escape(answer)}</th>" for answer in answers)
    rows = "".join(
        f"<tr><th>{html.escape(truth)}</th>{''.join(f'<td>{row[answer]}</td>' for answer in answers)}</tr>"
        for truth, row in table.items()
    )
    report = "".join(
        f"<tr><th>{html.escape(answer)}</th><td>{row['precision']:.3f}</td><td>{row['recall']:.3f}</td>"
        f"<td>{row['f1']:.3f}</td><td>{row['count']:.0f}</td></tr>"
        for answer, row in classification(table).items()
    )
    return (
        f"<h2>Confusion: {html.escape(name)}</h2>"
        f"<table><tr><th>truth, by answer</th>{head}</tr>{rows}</table>"
        f"<h3>Classification report: {html.escape(name)}</h3><table><tr><th></th><th>precision</th>"
        f"<th>recall</th><th>F1</th><th>count</th></tr>{report}</table>"
    )


def _explanations(comparison: dict[str, Any]) -> str:
    """The shipped map beside other methods, and what shuffling the weights leaves of it."""
    names = ("pointing", "energy", "iou", "deletion", "insertion")
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = "".join(
        f"<tr><th>{html.escape(method)}</th>{_cells(row[name] for name in names)}</tr>"
        for method, row in comparison["methods"].items()
    )
    shuffled = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{value:.2f}</td></tr>"
        for name, value in comparison["shuffled"].items()
    )
    return (
        f"<h2>Explanations</h2><p>On {int(comparison['pictures'])} boxed pictures of the calibration fold. "
        "Energy: the share of the positive evidence in the boxes. IoU: at each method's best threshold. "
        "Deletion (lower is better) and insertion (higher is): mean probability while the highest positions "
        f"are blurred or put back.</p><table><tr><th>map</th>{head}</tr>{rows}</table>"
        "<h2>Sanity check</h2><p>Rank correlation of the shipped map with itself once these weights are "
        f"shuffled; near 1 it would not depend on them.</p><table>{shuffled}</table>"
    )


def _cells(figures: Iterable[dict[str, Any]]) -> str:
    return "".join(f"<td>{_format_value(figure)}</td>" for figure in figures)


def _format_value(figure: dict[str, Any]) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
