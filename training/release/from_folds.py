"""What a manifest takes from out-of-fold answers: scale, thresholds, judged body parts, bands of the map.

Every training picture was answered by a network that has not seen its group, so all of them count. The
network that ships is another one. Its logits are brought to the folds' scale first, by the pictures that it
has not seen either.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.datasets.record import Dataset, DatasetError
from training.datasets.squares import sized
from training.evaluation import metrics
from training.evaluation.heatmaps import cropped, hits
from training.evaluation.metrics import Figure, Undefined
from training.evaluation.out_of_fold import NAME, OutOfFold, read_outputs
from training.learning.configuration import Config
from training.learning.splits import Fold
from training.network.names import FEATURES
from training.release import calibrate
from training.release.calibrate import Floats, Platt

#: A body part is judged if the AUC's interval lies above this and so many abnormal pictures measured it.
RELIABLE_AUC, RELIABLE_ABNORMAL = 0.70, 10
#: A trust score is released if it tells hits from misses at least so well, on groups that it was not fitted
#: to.
TRUST_AUROC = 0.75
#: The strong band of the map begins where this share of the peaks above it lies in a box.
STRONG = 0.83
#: Even odds: where uncertain pictures stop leaning towards normal.
EVEN = 0.5
ROUNDS = 2000
logger = logging.getLogger(__name__)


def read_answers(folder: Path, dataset: Dataset, config: Config) -> OutOfFold:
    """The answers that a cross-validation left in ``folder``.

    Raises ``DatasetError`` if they are missing, or are to other pictures than ``dataset`` has.
    """
    path, records = folder / f"{NAME}.npz", dataset.split("train")
    if not path.is_file():
        raise DatasetError(f"{path} is missing: run crossvalidate first.")
    outputs = read_outputs(path, records)
    with np.load(path, allow_pickle=False) as arrays:
        fold, body_parts = arrays["fold"], tuple(str(name) for name in arrays["body_parts"])
    if body_parts != dataset.body_parts:
        raise DatasetError(f"{path} has other parts than {dataset.name}.")
    return OutOfFold(records, body_parts, config.size, fold, outputs)


def fitted(config: Config, answers: OutOfFold, held: Fold, logit: NDArray[np.float32]) -> dict[str, Any]:
    """The manifest's entries.

    ``logit`` ``(M,)`` is what the network that ships answers to ``held``, training pictures that it has not
    seen. Raises ``DatasetError`` if no body part can be judged.
    """
    reliability = reliabilities(answers)
    judged = np.isin(predicted(answers), [name for name, one in reliability.items() if one["judged"]])
    if not judged.any():
        raise DatasetError(
            f"No body part reaches an AUC of {RELIABLE_AUC} with certainty: there is nothing to release."
        )
    abnormal = answers.abnormal
    pooled = calibrate.fit_platt(answers.outputs.logit[judged], abnormal[judged])
    thresholds = calibrate.fit_thresholds(pooled.probability(answers.outputs.logit[judged]), abnormal[judged])
    # Downwards: the picture that sets a threshold stays at or above it.
    low, high = (math.floor(value * 1e4) / 1e4 for value in (thresholds.low, thresholds.high))
    rows = {record.id: row for row, record in enumerate(answers.records)}
    same = answers.outputs.logit[[rows[record.id] for record in held]]
    own = aligned(pooled, logit, same)
    height, width = answers.outputs.map.shape[1:]
    return {
        "map": {
            "height": height,
            "width": width,
            "scale": calibrate.map_scale(answers.outputs.map, abnormal),
            "pooling": config.pooling,
            "temperature": config.temperature,
            "features": FEATURES,
        },
        "calibration": {"kind": "platt", "slope": own.slope, "intercept": own.intercept, "offsets": {}},
        "thresholds": {
            "low": low,
            "even": min(max(EVEN, low), high),
            "high": high,
            "crossed": thresholds.crossed,
            "broken": thresholds.broken,
            "limits": {
                "low": [round(min(0.01, low), 4), round(max(0.4, low), 4)],
                "high": [round(min(0.3, high), 4), round(max(0.95, high), 4)],
            },
        },
        "prevalence": round(float(abnormal.mean()), 4),
        "body_part_reliability": reliability,
        **_of_the_map(config, answers),
    }


def predicted(answers: OutOfFold) -> NDArray[np.str_]:
    """The body part that the network named, ``(N,)``: what decides in use whether a picture is judged."""
    return np.asarray(np.array(answers.body_parts)[answers.outputs.body_part.argmax(axis=1)], np.str_)


def reliabilities(answers: OutOfFold) -> dict[str, dict[str, Any]]:
    """By true body part: pictures, abnormal ones, AUC with its interval by group; is it judged?"""
    truth = np.array([record.body_part or "" for record in answers.records])
    found: dict[str, dict[str, Any]] = {}
    for body_part in answers.body_parts:
        rows = np.flatnonzero(truth == body_part)
        abnormal = int(answers.abnormal[rows].sum())
        auc = _auc(answers, rows)
        found[body_part] = {
            "pictures": len(rows),
            "abnormal": abnormal,
            "auc": auc and {key: round(getattr(auc, key), 4) for key in ("value", "low", "high")},
            "judged": auc is not None and auc.low >= RELIABLE_AUC and abnormal >= RELIABLE_ABNORMAL,
        }
    return found


def aligned(pooled: Platt, own: Floats, folds: Floats) -> Platt:
    """``pooled``, fitted to the folds' logits, for a network that answers ``own`` where they answer
    ``folds``.

    Both ``(M,)`` are to the same pictures, which neither network has seen. The line between them is the
    reduced major axis: it gives both the same mean and spread, and no label is needed, so that a few hundred
    pictures place it well.
    """
    slope = float(np.std(folds) / np.std(own))
    shift = float(np.mean(folds) - slope * np.mean(own))
    logger.info("the network's logits times %.3f plus %.3f are on the folds' scale", slope, shift)
    return Platt(
        slope=round(pooled.slope * slope, 5),
        intercept=round(pooled.slope * shift + pooled.intercept, 5),
        offsets={},
    )


def _auc(answers: OutOfFold, rows: NDArray[np.intp]) -> Figure | None:
    label, logit = answers.abnormal, answers.outputs.logit
    try:
        return metrics.bootstrap(
            lambda some: metrics.auc(label[rows[some]], logit[rows[some]]),
            answers.groups[rows],
            len(rows),
            rounds=ROUNDS,
        )
    except Undefined:
        return None


def _of_the_map(config: Config, answers: OutOfFold) -> dict[str, Any]:
    """Trust, if it is worth it, and the bands of the peak; both from the abnormal pictures with boxes."""
    rows = [row for row, record in enumerate(answers.records) if record.abnormal and record.boxes]
    records = [sized(answers.records[row]) for row in rows]
    evidence = [answers.outputs.map[row] for row in rows]
    pairs = list(zip(evidence, records, strict=True))
    maps = [cropped(map_, record, config.size) for map_, record in pairs]
    hit = np.array([hits(map_, record, config.size) for map_, record in pairs], bool)
    if not rows or hit.all() or not hit.any():
        logger.warning(
            "No boxed pictures with hits and with misses: nothing is said of where the map points."
        )
        return {"trust": None}
    fold = answers.fold[rows]
    scores = calibrate.trust_out_of_fold(maps, hit, fold, config.temperature)
    auroc = metrics.auc(hit, scores)
    logger.info("trust tells hits from misses with an AUROC of %.3f; %.2f are needed", auroc, TRUST_AUROC)
    trust = None
    if auroc >= TRUST_AUROC:
        trust = {**calibrate.fit_trust(maps, hit, config.temperature), "fitted": True}
    return {"trust": trust, "location": location(np.array([map_.max() for map_ in maps]), hit)}


def location(peak: Floats, hit: NDArray[np.bool_]) -> dict[str, Any]:
    """Bands of the map's highest value: nothing is drawn up to 0, and ``STRONG`` says where strong begins.

    ``peak`` ``(N,)`` in logit units and whether it lay in a box, for abnormal pictures.
    """
    order = np.argsort(-peak, kind="stable")
    share = np.cumsum(hit[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero((share >= STRONG) & (peak[order] > 0))
    strong = float(peak[order][enough[-1]]) if len(enough) else float(peak.max())
    strong = math.floor(max(strong, 0.0) * 100) / 100

    def counted(rows: NDArray[np.bool_]) -> dict[str, int]:
        return {"pictures": int(rows.sum()), "hits": int(hit[rows].sum())}

    drawn = peak > 0
    return {
        "visible_from": 0.0,
        "strong_from": strong,
        "none": counted(~drawn),
        "weak": counted(drawn & (peak < strong)),
        "strong": counted(drawn & (peak >= strong)),
    }
