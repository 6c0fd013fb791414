"""The pictures that calibrated a bundle."""

from __future__ import annotations

from inference_worker.bundle import Bundle
from training.datasets.record import Dataset, DatasetError
from training.learning.configuration import Config
from training.learning.splits import Fold, calibration_folds, fingerprint


def calibration_fold(bundle: Bundle, dataset: Dataset, config: Config) -> Fold:
    """The pictures of ``dataset`` that calibrate ``bundle``, which its networks have never seen.

    Raises ``DatasetError`` if ``config`` is not one of the bundle's, or the data are other ones than it was
    trained on: corrected labels can move the fold, and then pictures to calibrate with have been learnt.
    """
    manifest = bundle.manifest
    if dataset.body_parts != manifest.body_parts:
        raise DatasetError(f"{dataset.name} has other parts than {manifest.label}.")
    given = {"size": config.size, "pooling": config.pooling, "temperature": config.temperature}
    own = {
        "size": manifest.input.size,
        "pooling": manifest.map.pooling,
        "temperature": manifest.map.temperature,
    }
    for key, value in given.items():
        if value != own[key]:
            raise DatasetError(f"{config.name} has the {key} {value}, but {manifest.label} {own[key]}.")
    learn, held = calibration_folds(dataset, config)
    if fingerprint(learn) != manifest.data.get("fingerprint"):
        raise DatasetError(
            f"{manifest.label} was trained on other pictures than these data and {config.name} give now: "
            "some of its calibration fold may have been learnt. Train and export it anew."
        )
    return held
