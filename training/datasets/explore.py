"""What is in a data set: counts, sizes, grey levels, duplicates; one HTML report and one JSON file."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from inference_worker.preprocess import letterbox
from training.datasets.progress import with_progress
from training.datasets.record import Dataset, DatasetError, Record
from training.datasets.squares import read_grey

#: Pictures on a contact sheet, and the side of each in pixels.
SHEET, THUMB = 48, 112
REPORT, FIGURES = "report.html", "figures.json"


def explore(dataset: Dataset, out: Path) -> Path:
    """Write ``report.html`` and ``figures.json`` to ``out`` and return the report's path.

    Every picture is decoded once; those that cannot be are listed, not fatal.
    """
    out.mkdir(parents=True, exist_ok=True)
    sizes: Counter[tuple[int, int]] = Counter()
    levels: dict[str, list[float]] = defaultdict(list)
    labels: list[bool] = []
    by_content: dict[str, list[str]] = defaultdict(list)
    unreadable: list[str] = []
    for record in with_progress(dataset.records, len(dataset.records), "reading pictures"):
        try:
            pixels = read_grey(record.path)
        except DatasetError as error:
            unreadable.append(str(error))
            continue
        labels.append(record.abnormal)
        sizes[pixels.shape[1], pixels.shape[0]] += 1
        levels["mean"].append(float(pixels.mean()))
        levels["spread"].append(float(pixels.std()))
        by_content[hashlib.sha256(pixels.tobytes()).hexdigest()].append(record.id)
    known = {record.id: record for record in dataset.records}
    twins = [ids for ids in by_content.values() if len(ids) > 1]
    figures: dict[str, Any] = {
        "name": dataset.name,
        "counts": _counts(dataset.records),
        "groups": {
            "train": len({record.group for record in dataset.split("train")}),
            "test": len({record.group for record in dataset.split("test")}),
        },
        "sizes": {f"{width} x {height}": count for (width, height), count in sizes.most_common(20)},
        "grey_levels": {name: _quantiles(values) for name, values in levels.items()},
        "duplicates": twins,
        "contradicting_duplicates": [ids for ids in twins if len({known[name].abnormal for name in ids}) > 1],
        # What a test split must not have: pictures that were learnt under another name.
        "duplicates_in_both_splits": [ids for ids in twins if len({known[name].split for name in ids}) > 1],
        "unreadable": unreadable,
    }
    (out / FIGURES).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    report = out / REPORT
    plots = _plots(sizes, levels, np.array(labels, bool))
    report.write_text(_page(dataset, figures, plots), encoding="utf-8")
    return report


def contact_sheet(records: Sequence[Record], columns: int = 12) -> NDArray[np.uint8]:
    """Thumbnails of the readable ones of ``records``, boxes drawn, ``uint8 (H, W, 3)``; empty if none."""
    tiles: list[NDArray[np.uint8]] = []
    for record in records:
        try:
            square, geometry = letterbox(read_grey(record.path), THUMB)
        except DatasetError:
            continue
        tile = cv2.cvtColor(square, cv2.COLOR_GRAY2BGR)
        scale = geometry.inner_width / geometry.width
        for box in record.boxes:
            xmin, xmax = (round(v * scale + geometry.left) for v in (box[0], box[2]))
            ymin, ymax = (round(v * scale + geometry.top) for v in (box[1], box[3]))
            cv2.rectangle(tile, (xmin, ymin), (xmax, ymax), (60, 120, 255), 1)
        tiles.append(np.asarray(tile, np.uint8))
    if not tiles:
        return np.zeros((0, 0, 3), np.uint8)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return np.asarray(np.vstack(rows), np.uint8)


def _counts(records: Sequence[Record]) -> dict[str, dict[str, dict[str, int]]]:
    table: dict[str, dict[str, dict[str, int]]] = defaultdict(dict)
    for record in records:
        row = table[record.split].setdefault(record.body_part or "other", {"pictures": 0, "abnormal": 0})
        row["pictures"] += 1
        row["abnormal"] += record.abnormal
    return dict(table)


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    return {
        f"{share:.0%}": round(float(np.quantile(values, share)), 2) for share in (0.01, 0.25, 0.5, 0.75, 0.99)
    }


def _plots(
    sizes: Counter[tuple[int, int]], levels: dict[str, list[float]], abnormal: NDArray[np.bool_]
) -> bytes:
    """Sizes and grey levels as one PNG; where the labels differ here, a network need not look at bones."""
    figure = Figure(figsize=(10, 3.2), dpi=110, layout="constrained")
    places = figure.subplots(1, 3)
    places[0].scatter(
        [w for w, _ in sizes],
        [h for _, h in sizes],
        s=[4 + 4 * count**0.5 for count in sizes.values()],
        alpha=0.5,
    )
    places[0].set(title="Sizes", xlabel="width, pixels", ylabel="height, pixels")
    for axes, name in zip(places[1:], ("mean", "spread"), strict=True):
        values = np.array(levels[name])
        edges = np.linspace(0, 256 if name == "mean" else 128, 33)
        for label, rows in (("normal", ~abnormal), ("abnormal", abnormal)):
            weights = np.full(int(rows.sum()), 1 / max(1, int(rows.sum())))
            axes.hist(values[rows], edges, weights=weights, histtype="step", label=label)
        axes.legend(frameon=False)
        axes.set(title=f"Grey levels, {name}", xlabel="of 255", ylabel="share of pictures")
    file = BytesIO()
    figure.savefig(file, metadata={"Software": None})
    return file.getvalue()


def _page(dataset: Dataset, figures: dict[str, Any], plots: bytes) -> str:
    generator = np.random.default_rng(0)
    sheets = []
    for abnormal, title in ((True, "Abnormal, boxes drawn"), (False, "Normal")):
        rows = [r for r in dataset.split("train") if r.abnormal == abnormal]
        chosen = generator.permutation(len(rows))[:SHEET]
        sheet = contact_sheet([rows[index] for index in chosen])
        if sheet.size:
            encoded = base64.b64encode(cv2.imencode(".jpg", sheet)[1].tobytes()).decode()
            sheets.append(f'<h2>{title}</h2><img alt="{title}" src="data:image/jpeg;base64,{encoded}">')
    plot = base64.b64encode(plots).decode()
    tables = "".join(_table(f"{split} split", rows) for split, rows in figures["counts"].items())
    rest = {key: value for key, value in figures.items() if key != "counts"}
    credit = html.escape(f"{dataset.attribution} {dataset.licence}".strip())
    title = html.escape(dataset.name)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:16px/1.5 system-ui;max-width:84rem;margin:2rem auto;padding:0 1rem}"
        "td,th{text-align:left;padding:.1rem 1rem .1rem 0}img{max-width:100%}</style>"
        f'<h1>{title}</h1>{tables}<h2>Pictures</h2><img alt="Sizes and grey levels" '
        f'src="data:image/png;base64,{plot}">{"".join(sheets)}'
        f"<h2>Details</h2><pre>{html.escape(json.dumps(rest, indent=1))}</pre><p>{credit}</p></html>\n"
    )


def _table(title: str, rows: dict[str, dict[str, int]]) -> str:
    most = max(row["pictures"] for row in rows.values())
    body = "".join(
        f"<tr><th>{html.escape(body_part)}</th><td>{row['pictures']}</td><td>{row['abnormal']}</td>"
        f'<td><progress max="{most}" value="{row["pictures"]}"></progress></td></tr>'
        for body_part, row in sorted(rows.items(), key=lambda item: -item[1]["pictures"])
    )
    return f"<h2>{html.escape(title)}</h2><table><tr><th>part<th>pictures<th>abnormal</tr>{body}</table>"
