"""INT8 graphs by NNCF's post-training quantisation, released only if they decide as well as before."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference_worker.manifest import Network
from inference_worker.preprocess import as_batch
from inference_worker.runtimes import refuse_telemetry
from training.datasets.record import DatasetError
from training.evaluation.metrics import auc
from training.network.graphs import run_networks

#: What the AUC on the calibration fold may fall by.
MOST_LOST = 0.003
#: Training pictures whose activations set the ranges; NNCF's own default.
PICTURES = 300
Squares = NDArray[np.uint8]
logger = logging.getLogger(__name__)


def quantise(
    folder: Path,
    networks: Sequence[Network],
    body_parts: Sequence[str],
    learn: Squares,
    held: Squares,
    abnormal: NDArray[np.bool_],
) -> dict[str, Any]:
    """Put INT8 graphs in place of the f32 ones in ``folder``, and say what that does to the fold's AUC.

    ``learn (N, S, S)`` are training pictures, which set the ranges; ``held`` and ``abnormal`` are the
    calibration fold, which only judges. Raises ``DatasetError`` if its AUC falls by more than
    ``MOST_LOST``, or if NNCF is not installed.
    """
    before = auc(abnormal, run_networks(folder, networks, body_parts, held).logit)
    for network in networks:
        to_int8(folder / network.files["openvino"], learn)
    after = auc(abnormal, run_networks(folder, networks, body_parts, held).logit)
    logger.info("AUC on the calibration fold: %.4f in f32, %.4f in INT8", before, after)
    if before - after > MOST_LOST:
        raise DatasetError(
            f"INT8 is refused: the calibration fold's AUC falls from {before:.4f} to {after:.4f}, "
            f"by more than {MOST_LOST}; export without --int8."
        )
    return {"auc_f32": round(before, 4), "auc_int8": round(after, 4), "pictures": len(held)}


def to_int8(path: Path, pictures: Squares) -> None:
    """Write INT8 weights and activations into the IR at ``path``, ranges from ``pictures (N, S, S)``."""
    refuse_telemetry()
    try:
        import nncf
    except ImportError as error:
        raise DatasetError("INT8 needs the package nncf, which `make training` installs.") from error
    import openvino

    nncf.set_log_level(logging.WARNING)
    chosen = pictures[:: max(1, len(pictures) // PICTURES)][:PICTURES]
    shown = nncf.Dataset([as_batch(square[np.newaxis]) for square in chosen])
    # Mixed: activations that can be negative keep their own zero point.
    quantised = nncf.quantize(
        openvino.Core().read_model(path),
        shown,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(chosen),
    )
    # The graph that was read still lies in its file's memory: the new one is written beside it first.
    partial = path.with_name(f"partial-{path.name}")
    openvino.save_model(quantised, partial, compress_to_fp16=False)
    for suffix in (".bin", ".xml"):
        partial.with_suffix(suffix).replace(path.with_suffix(suffix))
