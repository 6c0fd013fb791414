"""The command line's output: a JSON record for programs, a line for people, a heatmap file."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from inference_worker.manifest import RESULTS, Manifest, Reliability
from inference_worker.notes import SENTENCES
from inference_worker.pipeline import Pipeline, Result
from inference_worker.render import composite
from inference_worker.types import BODY_PART_NOT_JUDGED, STAGES

#: Body parts in ``body_part.top``.
TOP = 3

_LONGEST_STEM_BYTES = 120


def record(path: Path, result: Result, heatmap: Path | None, pipeline: Pipeline) -> dict[str, Any]:
    """The fields of one line of ``--json``.

    For an unsupported picture, or one that is not judged, ``abnormality``, ``peak``, ``trust`` and
    ``heatmap`` are ``None``; ``reason`` is a code and empty for any other.
    """
    finding, manifest = result.finding, pipeline.manifest
    body_parts = sorted(finding.body_parts.items(), key=lambda body_part: -body_part[1])
    top = [{"label": label, "probability": round(share, 6)} for label, share in body_parts[:TOP]]
    abnormality = None
    if finding.probability is not None:
        abnormality = {
            "probability": round(finding.probability, 6),
            "threshold_low": manifest.thresholds.low,
            "threshold_high": manifest.thresholds.high,
            "leaning": finding.leaning,
        }
    return {
        "path": str(path),
        "sha256": result.sha256,
        "width": finding.width,
        "height": finding.height,
        "verdict": finding.verdict,
        "reason": finding.reason,
        "body_part": {**top[0], "top": top},
        "abnormality": abnormality,
        "peak": None if finding.peak is None else {"x": finding.peak[0], "y": finding.peak[1]},
        "location": finding.location,
        "trust": None if finding.trust is None else round(finding.trust, 6),
        "heatmap": None if heatmap is None else str(heatmap),
        "notes": list(result.radiograph.notes),
        "bundle": manifest.label,
        "runtime": pipeline.runtime.name,
        "precision": pipeline.runtime.precision,
        "milliseconds": {stage: round(getattr(finding.timings, stage), 3) for stage in STAGES},
    }


def write_heatmap(folder: Path, path: Path, result: Result, manifest: Manifest) -> Path | None:
    """Write the picture with its heatmap on it; ``None`` where there is no heatmap to draw.

    The name keeps the picture's own for people and adds a digest of its whole path, so that files of
    one name from several folders do not meet.
    """
    if result.finding.map is None or result.finding.location == "none":
        return None
    digest = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:12]
    stem = re.sub(r"[^\w.-]+", "_", path.stem).encode("utf-8", "replace")[:_LONGEST_STEM_BYTES]
    heatmap = folder / f"{stem.decode('utf-8', 'ignore')}-{digest}.png"
    heatmap.write_bytes(composite(result.radiograph.pixels, result.finding.map, manifest.map.scale))
    return heatmap


def sentence(record: dict[str, Any], manifest: Manifest) -> str:
    """One line for people from a record, or from an error's ``path`` and ``error``."""
    path = printable(record["path"])
    if "error" in record:
        return f"{path}: {record['error']}"
    words = manifest.target.words(record["verdict"])
    notes = "".join(f"; note: {SENTENCES[code]}" for code in record["notes"])
    body_part = record["body_part"]
    if record["reason"] == BODY_PART_NOT_JUDGED:
        label = body_part["label"]  # the command line forces no other
        return f"{path}: {words}; {label}: {_not_judged(manifest.body_part_reliability[label])}{notes}"
    if record["abnormality"] is None:
        return f"{path}: {words}{notes}"
    leaning = record["abnormality"]["leaning"]
    if leaning:
        words = f"{words}, {leaning.replace('_', ' ')}"
    heatmap = f"; {printable(record['heatmap'])}" if record["heatmap"] else ""
    return (
        f"{path}: {words} ({record['abnormality']['probability']:.0%}); "
        f"{body_part['label']} ({body_part['probability']:.0%}); {_place(record)}{_rate(record, manifest)}"
        f"{notes}{heatmap}"
    )


def _not_judged(reliability: Reliability) -> str:
    return (
        f"the model was tested on {reliability.abnormal} abnormal pictures of this body part, and how well "
        "it tells them from others is too uncertain, so it does not judge it"
    )


def _place(record: dict[str, Any]) -> str:
    """Where the evidence lies and how much it stands out."""
    peak = record["peak"]
    if peak is None:
        return "no area stands out"
    place = f"x {peak['x']}, y {peak['y']}"
    if record["location"] == "weak":
        return f"only a hint at {place}"
    words = f"most evidence at {place}"
    return words if record["trust"] is None else f"{words}; trust {record['trust']:.2f}"


def _rate(record: dict[str, Any], manifest: Manifest) -> str:
    """How many test pictures with the same result were abnormal; empty where it was not measured."""
    result = record["abnormality"]["leaning"] or record["verdict"]
    if manifest.rates is None or result not in RESULTS:
        return ""
    rate = getattr(manifest.rates, result)
    return (
        f"; {rate.abnormal} of {rate.pictures} pictures with this result were abnormal in "
        f"{manifest.rates.measured_on}, prevalence {manifest.rates.prevalence:.0%}"
    )


def printable(path: str) -> str:
    """Return a path that any terminal shows on one line: control characters and undecodable bytes escaped."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in path)
