"""A bundle's predictions for labelled pictures, by the exported OpenVINO graphs, as the worker makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference_worker.bundle import Bundle
from inference_worker.out_of_distribution import OutOfDistributionDetector
from inference_worker.trust import features, trust
from inference_worker.verdict import calibrated
from training.datasets.record import DatasetError, Record
from training.datasets.squares import load, sized
from training.evaluation.heatmaps import cropped, energy, hits
from training.network.graphs import run_networks


@dataclass(frozen=True, slots=True)
class Predictions:
    """Arrays over N pictures, in the order of ``records``.

    ``unjudged`` are the parts on which the bundle gives no verdict; ``part`` are the parts' probabilities
    ``(N, P)`` and ``top_body_part`` is the most probable one; ``distance`` is the out-of-distribution
    detector's, which refuses above 1; ``trust`` and ``height`` belong to the cropped map and its peak;
    ``hit`` says whether the peak lies in a grown box and ``strict`` in a box as drawn (``False`` without
    boxes); ``energy`` is the share of the positive evidence in boxes.
    """

    records: tuple[Record, ...]
    body_parts: tuple[str, ...]
    unjudged: frozenset[str]
    logit: NDArray[np.float32]
    probability: NDArray[np.float64]
    body_part: NDArray[np.float32]
    top_body_part: NDArray[np.str_]
    distance: NDArray[np.float32]
    trust: NDArray[np.float64]
    height: NDArray[np.float64]
    hit: NDArray[np.bool_]
    strict: NDArray[np.bool_]
    energy: NDArray[np.float64]

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Does the bundle give a verdict on the part that it names?"""
        return ~np.isin(self.top_body_part, sorted(self.unjudged))

    @property
    def abnormal(self) -> NDArray[np.bool_]:
        return np.array([record.abnormal for record in self.records])

    @property
    def boxed(self) -> NDArray[np.bool_]:
        return np.array([bool(record.boxes) for record in self.records])

    @property
    def groups(self) -> NDArray[np.str_]:
        return np.array([record.group for record in self.records])


def predict(bundle: Bundle, records: Sequence[Record], cache: Path) -> Predictions:
    """Run ``bundle`` over ``records``. Raises ``DatasetError`` if its parts are not those of the labels."""
    manifest = bundle.manifest
    unknown = {record.body_part for record in records if record.body_part} - set(manifest.body_parts)
    if unknown:
        raise DatasetError(f"The bundle knows no part called {', '.join(sorted(map(str, unknown)))}.")
    records = [sized(record) for record in records]
    size = manifest.input.size
    pixels = load(records, size, cache).pixels
    outputs = run_networks(bundle.folder, manifest.networks, manifest.body_parts, pixels)
    top_body_part = np.array(manifest.body_parts)[outputs.body_part.argmax(axis=1)]
    detector = OutOfDistributionDetector.load(
        bundle.detector_file,
        manifest.out_of_distribution.limit,
        manifest.out_of_distribution.chroma_limit,
    )
    shown = [cropped(map_, record, size) for map_, record in zip(outputs.map, records, strict=True)]
    maps = list(zip(outputs.map, records, strict=True))
    # A bundle may carry no trust score.
    temperature = float((manifest.trust or {}).get("temperature") or manifest.map.temperature or 1.0)
    return Predictions(
        records=tuple(records),
        body_parts=manifest.body_parts,
        unjudged=manifest.unjudged,
        logit=outputs.logit,
        probability=np.array(
            [
                calibrated(float(logit), str(body_part), manifest.calibration)
                for logit, body_part in zip(outputs.logit, top_body_part, strict=True)
            ]
        ),
        body_part=outputs.body_part,
        top_body_part=top_body_part,
        distance=detector.distance(outputs.embedding),
        trust=np.array([np.nan if manifest.trust is None else trust(map_, manifest.trust) for map_ in shown]),
        height=np.array([features(map_, temperature)["peak"] for map_ in shown]),
        hit=np.array([hits(map_, record, size) for map_, record in maps]),
        strict=np.array([hits(map_, record, size, slack=0.0) for map_, record in maps]),
        energy=np.array([energy(map_, record, size) for map_, record in maps]),
    )
