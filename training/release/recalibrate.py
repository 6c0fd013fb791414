"""What a manifest takes from the calibration fold: probabilities, thresholds, the map's scale, trust."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inference_worker.bundle import Bundle
from inference_worker.trust import trust
from inference_worker.types import Outputs
from training.datasets.record import Dataset
from training.datasets.squares import load, sized
from training.evaluation.calibration_fold import calibration_fold
from training.evaluation.heatmaps import cropped, hits
from training.learning.configuration import Config
from training.learning.splits import Fold
from training.network.graphs import run_networks
from training.network.names import FEATURES
from training.release import calibrate
from training.release.files import MANIFEST, write_manifest
from training.release.from_folds import fitted, read_answers

#: A map whose trust is under the value that this share of the hits stay above is called weak.
WEAK = 0.1
#: Where no boxes tell hits from misses, trust is how far the evidence sits in one place.
UNFITTED_TRUST = {
    "intercept": -2.0,
    "weights": {"peak": 0.0, "focus": 4.0, "border": -2.0, "rival": 0.0},
    "fitted": False,
    "weak_below": 0.3,
}
#: What only some ways of fitting give, and what an evaluation adds.
MEASURED = ("body_part_reliability", "location", "rates")
logger = logging.getLogger(__name__)


def recalibrate(
    config: Config, dataset: Dataset, runs: Path, folder: Path, folds: Path | None = None
) -> None:
    """Set calibration, thresholds, map scale and trust of the bundle in ``folder`` anew, as ``export`` does.

    That is from the cross-validation in the folder ``folds``, or without it from the bundle's own fold.

    ``config`` is that of any of its networks that judge. Its metrics were measured with the old ones
    and go; evaluate it again. Raises ``DatasetError`` if configuration or data are not the bundle's.
    """
    bundle = Bundle.load(folder)
    networks = bundle.manifest.networks
    if len(networks) > 1:
        config = replace(config, only=())
    held = calibration_fold(bundle, dataset, config)
    answers = read_answers(folds, dataset, config) if folds else None
    pixels = load(held, config.size, runs / "cache").pixels
    unseen = run_networks(folder, networks, dataset.body_parts, pixels)
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    entries = (
        fitted(config, answers, held, unseen.logit) if answers else calibrated(config, dataset, held, unseen)
    )
    # Rates were measured with the old thresholds, as the metrics were.
    kept = {name: entry for name, entry in manifest.items() if name not in MEASURED}
    write_manifest(folder, {**kept, **entries, "metrics": {}})


def calibrated(config: Config, dataset: Dataset, held: Fold, out: Outputs) -> dict[str, Any]:
    """The manifest's entries that follow from the networks' answers ``out`` to the fold ``held``."""
    abnormal = np.array([record.abnormal for record in held])
    named = [dataset.body_parts[index] for index in out.body_part.argmax(axis=1)]
    platt = calibrate.fit_platt(out.logit, abnormal, named)
    if platt.slope <= 0:
        logger.warning("On the calibration fold the networks do no better than chance: do not release this.")
    probability = platt.probability(out.logit, named)
    thresholds = calibrate.fit_thresholds(probability, abnormal)
    # Downwards: the picture that sets a threshold stays at or above it.
    low, high = (math.floor(value * 1e4) / 1e4 for value in (thresholds.low, thresholds.high))
    height, width = out.map.shape[1:]
    return {
        "map": {
            "height": height,
            "width": width,
            "scale": calibrate.map_scale(out.map, abnormal),
            "pooling": config.pooling,
            "temperature": config.temperature,
            "features": FEATURES,
        },
        "calibration": {
            "kind": "platt",
            "slope": platt.slope,
            "intercept": platt.intercept,
            "offsets": platt.offsets,
        },
        "thresholds": {
            "low": low,
            "high": high,
            "crossed": thresholds.crossed,
            "broken": thresholds.broken,
            "limits": {
                "low": [round(min(0.01, low), 4), round(max(0.4, low), 4)],
                "high": [round(min(0.3, high), 4), round(max(0.95, high), 4)],
            },
        },
        "prevalence": round(float(abnormal.mean()), 4),
        "trust": _trust(config, held, out),
    }


def _trust(config: Config, held: Fold, out: Outputs) -> dict[str, Any]:
    rows = [index for index, record in enumerate(held) if record.boxes]
    boxed = {index: sized(held[index]) for index in rows}
    maps = [cropped(out.map[index], boxed[index], config.size) for index in rows]
    hit = np.array([hits(out.map[index], boxed[index], config.size) for index in rows], bool)
    if not rows or hit.all() or not hit.any():
        logger.warning("No boxed pictures with hits and with misses: the trust score is not fitted.")
        return {"temperature": config.temperature, **UNFITTED_TRUST}
    parameters = calibrate.fit_trust(maps, hit, config.temperature)
    scores = np.array([trust(map_, parameters) for map_ in maps])
    return {**parameters, "fitted": True, "weak_below": round(float(np.quantile(scores[hit], WEAK)), 4)}
